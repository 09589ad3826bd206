#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/question_text.h"
#include "rollout/statements.h"

namespace poundlock::rollout {
namespace {

std::vector<Question> questions(const Plan& plan) {
  return {statements_question(plan)};
}

constexpr double kPageBytes = 8192;

struct Wal {
  double calls = 0;
  double bytes = 0;
  double images = 0;
  double records = 0;
  // Full-page images come with checkpoints, not with the change; where they make up most of the volume what
  // is left of it is noise, and records are counted instead.
  bool blurred() const { return images * kPageBytes > bytes / 2; }
  double each_bytes() const { return std::max(0.0, bytes - images * kPageBytes) / std::max(1.0, calls); }
  double each_records() const { return records / std::max(1.0, calls); }
};

std::optional<Wal> since_mark(const GateInput& in) {
  const auto calls = in.since_mark("statements.write_calls");
  const auto bytes = in.since_mark("statements.wal_bytes");
  const auto images = in.since_mark("statements.wal_fpi");
  const auto records = in.since_mark("statements.wal_records");
  if (!calls || !bytes || !images || !records) return std::nullopt;
  return Wal{*calls, *bytes, *images, *records};
}

std::optional<Wal> before(const GateInput& in) {
  if (!in.baseline) return std::nullopt;
  const auto& grown = in.baseline->differences;
  const auto at = [&](const char* name) {
    const auto found = grown.find(name);
    return found == grown.end() ? 0 : found->second;
  };
  const Wal out{at("statements.write_calls"), at("statements.wal_bytes"), at("statements.wal_fpi"),
                at("statements.wal_records")};
  if (out.calls < 100 || out.bytes <= 0) return std::nullopt;
  return out;
}

GateReading judge(const GateInput& in) {
  if (in_steps_of(in.plan).empty())
    return pass(in, std::nullopt, "nothing is kept in step, so no write costs more");
  if (const auto unknown = statements_unknown(in)) return no_data(in, *unknown);
  const auto calls = in.since_mark("statements.write_calls");
  if (!calls) return no_data(in, "the counts since the mark have not begun");
  const double needed = static_cast<double>(in.settings.min_samples);
  if (*calls < needed && in.since_mark("statements.clock_s").value_or(0) < 60)
    return hold(in, std::nullopt,
                fmt::format("{} of {} writes so far", count_text(*calls), count_text(needed)));
  if (*calls == 0) return pass(in, std::nullopt, "the application has written nothing for a minute");
  if (in.value("statements.without_wal").value_or(0) > 0)
    return pass(in, std::nullopt,
                "this server's pg_stat_statements counts no WAL (PostgreSQL 13 and later do)");
  const auto now = since_mark(in);
  if (!now) return no_data(in, "the WAL of the application's writes is not known");
  const auto old = before(in);
  if (!old)
    return pass(in, std::nullopt,
                fmt::format("{:.0f} B a write; the baseline has no writes to compare with",
                            now->bytes / std::max(1.0, now->calls)));
  const bool records = now->blurred() || old->blurred();
  const auto predicted = figure(in, records ? "rehearsal.wal_records_ratio" : "rehearsal.wal_ratio");
  if (!predicted || *predicted <= 0) return no_data(in, "the rehearsal foretold no WAL ratio");
  const double then = records ? old->each_records() : old->each_bytes();
  const double each = records ? now->each_records() : now->each_bytes();
  const double ratio = then > 0 ? each / (then * *predicted) : 1;
  const std::string seen =
      records ? fmt::format(
                    "{:.2f} WAL records a write, {:.2f} before and {:.2f} times foretold (full-page images "
                    "blur bytes)",
                    each, then, *predicted)
              : fmt::format("{:.0f} B of WAL a write, {:.0f} before and {:.2f} times foretold", each, then,
                            *predicted);
  if (ratio > in.settings.limit) return violated(in, ratio, seen);
  return pass(in, ratio, seen);
}

}  // namespace

const Gate& wal_per_write() {
  static const Gate gate{
      .id = "wal_per_write",
      .title = "WAL bytes a write",
      .why =
          "A same-row sync with an index costs more WAL by nature; more than the rehearsal "
          "foretold is a surprise.",
      .unit = "ratio",
      .gate_class = GateClass::kHealth,
      .on_failure = OnFailure::kPause,
      .moments = static_cast<Moments>(Moment::kDualWrite),
      .limit = 1.15,
      .min_samples = 1'000,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
