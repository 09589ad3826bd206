#include "cli/plan_adopt.h"

#include <fmt/format.h>

#include "ports/cells.h"

namespace poundlock::cli {
namespace {

// A table that is not there yet answers no, and that is what it means for a step.
Result<std::optional<bool>> ask(ports::Session& session, const std::string& probe) {
  auto rows = session.run(probe);
  if (!rows) {
    const std::string& state = rows.error().sqlstate;
    if (state == "42P01" || state == "42703" || state == "3F000") return std::optional(false);
    return fail(std::move(rows).error());
  }
  if (rows->rows.empty() || rows->rows[0].empty()) return std::optional<bool>();
  return std::optional(ports::to_bool(rows->rows[0][0]));
}

}  // namespace

const char* to_string(Adopted state) {
  switch (state) {
    case Adopted::kDone: return "done";
    case Adopted::kNotDone: return "not done";
    case Adopted::kHalf: return "half done";
    case Adopted::kUnknown: return "unknown";
  }
  return "unknown";
}

Result<std::vector<Adopted>> adopted(ports::Session& session, const migration::SqlPlan& plan) {
  PL_CHECK(session.run("SET default_transaction_read_only = on"));
  std::vector<Adopted> out;
  for (const auto& one : plan.steps) {
    const std::string probe = migration::probe_text(one.step);
    if (probe.empty()) {
      out.push_back(Adopted::kUnknown);
      continue;
    }
    PL_TRY(const auto there, ask(session, probe));
    Adopted state = there && *there ? Adopted::kDone : Adopted::kNotDone;
    if (state == Adopted::kNotDone && !one.step.repair_when.empty()) {
      PL_TRY(const auto half, ask(session, one.step.repair_when));
      if (half && *half) state = Adopted::kHalf;
    }
    out.push_back(state);
  }
  PL_CHECK(session.run("SET default_transaction_read_only = off"));
  return out;
}

Status record_history(ports::Session& session, const std::vector<std::string>& statements) {
  PL_CHECK(session.run("BEGIN"));
  PL_CHECK(session.run("SET LOCAL lock_timeout = '2s'"));
  for (const auto& one : statements) {
    auto done = session.run(one);
    if (done) continue;
    if (!session.broken()) (void)session.run("ROLLBACK");
    return fail(std::move(done).error().with_hint(
        "the tool's history table must be there, as the tool makes it when it first runs"));
  }
  PL_CHECK(session.run("COMMIT"));
  return {};
}

}  // namespace poundlock::cli
