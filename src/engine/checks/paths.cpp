#include "engine/checks/paths.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/checks/path_proof.h"
#include "engine/checks/path_writes.h"
#include "engine/checks/shadow_blockers.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr std::string_view kTimedOut = "57014";

}  // namespace

Result<PathsReport> PathProof::run() {
  PL_CHECK(open());
  // Sessions of the application live on while the schema changes, and their prepared statements with them.
  PL_CHECK(try_all(Side::kLegacy, &PathWorks::before_expand, true, "before the expand"));
  PL_CHECK(try_all(Side::kFresh, &PathWorks::before_expand, false, "before the expand"));
  PL_CHECK(keep_prepared(Side::kLegacy));
  PL_CHECK(forward_on_shadow(context_, shadow_.database(), change::Phase::kDualWrite));
  PL_CHECK(analyze());
  const Status kept = in_application([&] { return try_kept(Side::kLegacy, "the expand"); });
  PL_CHECK(kept);
  PL_CHECK(try_all(Side::kLegacy, &PathWorks::after_expand, true, "after the expand"));
  PL_CHECK(try_all(Side::kFresh, &PathWorks::after_expand, true, "after the expand"));
  PL_CHECK(keep_prepared(Side::kFresh));
  PL_CHECK(compare_reads());
  PL_CHECK(plan_all());
  PL_CHECK(forward_on_shadow(context_, shadow_.database(), change::Phase::kExpose));
  PL_CHECK(compare_writes());
  PL_CHECK(after_the_contract());
  shapes();
  return std::move(report_);
}

void PathProof::fault(const ProvedPath& path, std::string side, std::string kind, bool error,
                      std::string message, std::string fix) {
  // One statement fails for each of its samples: once is enough.
  for (const auto& known : report_.findings)
    if (known.path == path.spec->name && known.side == side && known.kind == kind &&
        (known.message == message || kind == "cost" || kind == "estimate"))
      return;
  report_.findings.push_back(
      {path.spec->name, std::move(side), std::move(kind), error, std::move(message), std::move(fix)});
}

PathWorks& PathProof::works(const ProvedPath& path, Side side) {
  for (auto& one : report_.works)
    if (one.path == path.spec->name && one.side == side) return one;
  return report_.works.emplace_back(PathWorks{path.spec->name, side, {}, {}, {}});
}

// Both sides work where they are compared.
bool PathProof::runnable(const ProvedPath& path) const {
  int sides = 0;
  for (const auto& one : report_.works)
    if (one.path == path.spec->name && one.after_expand.value_or(false)) ++sides;
  return sides == 2;
}

Status PathProof::open() {
  PL_TRY(session_, shadow_.database().connect());
  PL_TRY(search_path_, application_search_path(*session_, context_.plan));
  report_.shadow = shadow_.info().description;
  for (const auto& one : shadow_.info().left_out) report_.shadow += "; without " + one;
  if (shadow_.info().kept)
    report_.shadow += "; the contract, which a clone cannot take back, in a transaction that is rolled back";
  for (const auto& one : context_.plan.fresh) {
    PL_TRY(const auto there,
           session_->run("SELECT FROM pg_catalog.pg_attribute WHERE attrelid = "
                         "pg_catalog.to_regclass($1) AND attname = $2 AND NOT attisdropped",
                         {schema::QualifiedName{one.schema, one.table}.to_sql(), one.column}));
    new_columns_ = new_columns_ || there.rows.empty();
  }
  const auto tables = tables_of(context_.plan);
  for (const auto& spec : context_.plan.paths) {
    ProvedPath path{&spec, {}, {}};
    PL_TRY(path.legacy, shape_of(spec.legacy, tables));
    PL_TRY(path.fresh, shape_of(spec.fresh, tables));
    paths_.push_back(std::move(path));
  }
  return {};
}

Status PathProof::analyze() {
  for (const auto& table : tables_of(context_.plan)) {
    const std::string name = table.to_sql();
    PL_CHECK(session_->run("ANALYZE " + name));
    PL_TRY(const auto rows,
           session_->run("SELECT reltuples FROM pg_catalog.pg_class WHERE oid = $1::regclass", {name}));
    rows_[name] = std::max(0.0, ports::to_double(rows.rows.at(0)[0]));
  }
  return {};
}

// --- each statement wherever the phases need it ----------------------------------------------------

// Inside a transaction: what does not work must not end it.
Status PathProof::try_one(const ProvedPath& path, Side side, std::optional<bool> PathWorks::*when,
                          bool needed, const char* at) {
  PL_CHECK(session_->run("SAVEPOINT poundlock_path"));
  const auto prepared = session_->run("PREPARE poundlock_path AS " + sql(path, side));
  if (prepared) PL_CHECK(session_->run("DEALLOCATE poundlock_path"));
  PL_CHECK(session_->run("ROLLBACK TO SAVEPOINT poundlock_path"));
  works(path, side).*when = prepared.has_value();
  if (!prepared && needed) {
    fault(path, to_string(side), "does_not_work", true,
          fmt::format("does not work {}: {}", at, prepared.error().message), prepared.error().hint);
  }
  return {};
}

Status PathProof::try_all(Side side, std::optional<bool> PathWorks::*when, bool needed, const char* at) {
  return in_application([&]() -> Status {
    for (const auto& path : paths_) PL_CHECK(try_one(path, side, when, needed, at));
    return {};
  });
}

// A prepared statement outlives the transaction, also one that is rolled back.
Status PathProof::keep_prepared(Side side) {
  return in_application([&]() -> Status {
    for (const auto& path : paths_) {
      PL_CHECK(session_->run("SAVEPOINT poundlock_path"));
      if (session_->run(fmt::format("PREPARE {} AS {}", kept_name(path, side), sql(path, side)))) continue;
      PL_CHECK(session_->run("ROLLBACK TO SAVEPOINT poundlock_path"));
    }
    return {};
  });
}

// EXPLAIN EXECUTE plans anew as an execution would, and fails with 0A000 where the result has changed.
Status PathProof::try_kept(Side side, const char* after) {
  for (const auto& path : paths_) {
    const int count = (side == Side::kLegacy ? path.legacy : path.fresh).highest;
    std::string arguments;
    for (int i = 0; i < count; ++i) arguments += i == 0 ? "(NULL" : ", NULL";
    if (count > 0) arguments += ")";
    PL_CHECK(session_->run("SAVEPOINT poundlock_kept"));
    const auto planned = session_->run(fmt::format("EXPLAIN EXECUTE {}{}", kept_name(path, side), arguments));
    PL_CHECK(session_->run("ROLLBACK TO SAVEPOINT poundlock_kept"));
    if (planned || planned.error().sqlstate != "0A000") continue;
    fault(path, to_string(side), "prepared_breaks", true,
          fmt::format("prepared before {}, it fails afterwards: {}", after, planned.error().message),
          "list the columns that the application reads in place of taking all of them");
  }
  return {};
}

Result<bool> PathProof::contract_here() {
  for (const auto* step : forward_steps(context_.plan, change::Phase::kContract)) {
    if (step->kind != change::StepKind::kTransaction) continue;  // a vacuum changes nothing that is looked at
    for (const auto& statement : step->sql) {
      const auto done = session_->run(statement);
      if (done) continue;
      PL_CHECK(session_->run("ROLLBACK TO SAVEPOINT poundlock_contract"));
      const Error why = explain_refused_drop(*session_, context_.plan, done.error());
      report_.findings.push_back(
          {"", "", "contract_fails", true, step->title + ": " + why.message, why.hint});
      return false;
    }
  }
  return true;
}

// In one transaction that is rolled back, so that a clone loses nothing.
Status PathProof::after_the_contract() {
  return in_application([&]() -> Status {
    PL_CHECK(session_->run("SET LOCAL statement_timeout = 0"));
    PL_TRY(const auto aside, set_views_aside(*session_, context_.plan));
    for (const auto& view : aside) report_.findings.push_back({"", "", "view_in_the_way", false, view, ""});
    PL_CHECK(session_->run("SAVEPOINT poundlock_contract"));
    PL_TRY(const bool there, contract_here());
    if (!there) return {};
    PL_CHECK(try_kept(Side::kFresh, "the contract"));
    for (const auto& path : paths_) {
      PL_CHECK(try_one(path, Side::kFresh, &PathWorks::after_contract, true, "after the contract"));
      PL_CHECK(try_one(path, Side::kLegacy, &PathWorks::after_contract, false, "after the contract"));
    }
    return {};
  });
}

// --- what the tree says ----------------------------------------------------------------------------

void PathProof::shapes() {
  const auto star = context_.plan.gates.find("select_star");
  const bool waived = star != context_.plan.gates.end() && star->second.waived.has_value();
  for (const auto& path : paths_) {
    for (const Side side : {Side::kLegacy, Side::kFresh}) {
      const PathShape& shape = side == Side::kLegacy ? path.legacy : path.fresh;
      for (const auto& table : shape.star)
        fault(path, to_string(side), "select_star", false,
              fmt::format("takes all columns of {}: what it gives changes with the schema", table),
              "list the columns that the application reads");
      for (const auto& table : shape.whole_row)
        fault(path, to_string(side), "whole_row", false,
              fmt::format("takes the whole row of {} as one value: its type changes with the schema", table),
              "list the columns, or build the value from them");
      for (const auto& table : shape.unlisted)
        fault(
            path, to_string(side), "insert_without_columns", side == Side::kFresh,
            fmt::format("INSERT into {} without a column list: after the drop the values go to other columns",
                        table),
            "name the columns that are inserted");
    }
  }
  if (!waived) return;
  for (auto& finding : report_.findings)
    if (finding.kind == "prepared_breaks") finding.error = false;
}

// --- results -----------------------------------------------------------------------------------------

Result<SampledPath> PathProof::samples(const ProvedPath& path, int rows) {
  PL_TRY(auto sampled, sample_path(*session_, context_.plan, *path.spec, rows, search_path_));
  if (!sampled.problem.empty()) {
    fault(path, "both", "not_compared", true, sampled.problem);
    sampled.samples.clear();
  }
  return sampled;
}

// Not READ ONLY, which would refuse SELECT ... FOR UPDATE; it is rolled back all the same.
Result<PathAnswer> PathProof::ask(const std::string& sql, const std::vector<ports::Cell>& params) {
  return in_application([&] { return answer_of(*session_, sql, params); });
}

// What differs may be what the legacy statement itself answers otherwise each time.
Result<RowsVerdict> PathProof::judge_answers(const ProvedPath& path, const std::vector<ports::Cell>& params,
                                             const PathAnswer& legacy, const PathAnswer& fresh) {
  auto verdict = compare_answers(legacy, path.legacy, fresh, path.fresh);
  if (!verdict.error || (verdict.kind != "rows_differ" && verdict.kind != "order_differs")) return verdict;
  PL_TRY(const auto again, ask(path.spec->legacy, params));
  return compare_at_rest({legacy, again, path.legacy}, fresh, path.fresh, std::move(verdict));
}

Status PathProof::compare_read(const ProvedPath& path) {
  PL_TRY(const auto sampled, samples(path, options_.samples));
  PathCompared done;
  done.path = path.spec->name;
  std::string unsteady;
  for (const auto& params : sampled.samples) {
    const auto legacy = ask(path.spec->legacy, params);
    if (!legacy && legacy.error().sqlstate == kTimedOut) {
      done.skipped += 1;  // says nothing of the new one
      continue;
    }
    const auto fresh = ask(path.spec->fresh, params);
    if (!legacy || !fresh) {
      const Error& why = legacy ? fresh.error() : legacy.error();
      const bool slow = why.sqlstate == kTimedOut;
      fault(path, legacy ? "new" : "legacy", "does_not_work", true,
            slow ? fmt::format("it takes longer than {}, and legacy does not",
                               format_duration(options_.statement_limit))
                 : why.message,
            why.hint);
      break;
    }
    PL_TRY(const auto verdict, judge_answers(path, params, *legacy, *fresh));
    if (verdict.kind == "not_compared") {
      unsteady = verdict.message;
      continue;
    }
    if (!verdict.kind.empty()) fault(path, "both", verdict.kind, verdict.error, verdict.message);
    if (!verdict.kind.empty() && verdict.error) break;
    done.compared += 1;
    done.left_out += verdict.left_out;
    done.rows += static_cast<double>(legacy->rows.rows.size());
  }
  if (done.skipped > 0)
    fault(path, "both", "not_compared", done.compared == 0,
          fmt::format("{} of {} samples took legacy longer than {}", done.skipped, sampled.samples.size(),
                      format_duration(options_.statement_limit)),
          "let `sample:` give rows of parameters that it answers in that time");
  if (!unsteady.empty())
    fault(path, "both", "not_compared", done.compared == 0, unsteady,
          "order by a key, and give what changes by itself (a time, a random number) as a parameter");
  report_.compared.push_back(done);
  return {};
}

Status PathProof::compare_reads() {
  for (const auto& path : paths_)
    if (!path.legacy.writes && !path.fresh.writes && runnable(path)) PL_CHECK(compare_read(path));
  return {};
}

Status PathProof::compare_write(const ProvedPath& path) {
  PL_TRY(const auto sampled, samples(path, options_.write_samples));
  PathCompared done;
  std::string broken;  // a constraint
  done.path = path.spec->name;
  done.writes = true;
  for (std::size_t i = 0; i < sampled.samples.size(); ++i) {
    WriteTrial trial{path.spec->legacy, sampled.samples[i], search_path_, options_.statement_limit,
                     i < sampled.taken_from.size() ? sampled.taken_from[i] : ""};
    const auto legacy = write_effect(*session_, context_.plan, trial);
    const auto again = legacy ? write_effect(*session_, context_.plan, trial) : legacy;
    trial.sql = path.spec->fresh;
    const auto fresh = write_effect(*session_, context_.plan, trial);
    // What the data alone forbids, such as a key that is taken or referred to, says nothing of the paths.
    if (!legacy && !fresh && legacy.error().sqlstate.starts_with("23")) {
      done.skipped += 1;
      // Without the values, which the server names behind it.
      const std::string& words = legacy.error().message;
      broken = words.substr(0, std::min(words.find(": Key ("), words.find(": Failing row contains")));
      continue;
    }
    if (!legacy || !again || !fresh) {
      const bool new_fails = legacy && again;
      const Error& why = !legacy ? legacy.error() : !again ? again.error() : fresh.error();
      fault(path, new_fails ? "new" : "legacy", "does_not_work", true, why.message, why.hint);
      break;
    }
    if (const std::string found = effect_difference(*legacy, *again, *fresh); !found.empty()) {
      fault(path, "both", "effect_differs", true, found);
      break;
    }
    for (const bool is_new : {false, true})
      if (const auto left = (is_new ? fresh : legacy)->out_of_step; left > 0)
        fault(path, is_new ? "new" : "legacy", "out_of_step", true,
              fmt::format("it leaves {} rows whose two sides are out of step", left));
    if (!legacy->complete || !fresh->complete)
      fault(
          path, "both", "not_compared", false,
          "a table is too large to be read for each sample: only the number of rows and what the statements "
          "return were compared");
    done.compared += 1;
    done.rows += static_cast<double>(legacy->affected);
  }
  if (done.compared == 0 && done.skipped > 0)
    fault(path, "both", "not_compared", true,
          fmt::format(
              "each of {} samples breaks a constraint of the tables, the last: {}; {}", done.skipped, broken,
              path.spec->sample.empty() ? "give rows of parameters by `sample:`"
                                        : "`sample:` has to give rows of parameters that may be written"));
  report_.compared.push_back(done);
  return {};
}

Status PathProof::compare_writes() {
  for (const auto& path : paths_)
    if ((path.legacy.writes || path.fresh.writes) && runnable(path)) PL_CHECK(compare_write(path));
  return {};
}

const char* to_string(Side side) {
  return side == Side::kLegacy ? "legacy" : "new";
}

int PathsReport::errors() const {
  return static_cast<int>(
      std::count_if(findings.begin(), findings.end(), [](const auto& one) { return one.error; }));
}

int PathsReport::comparisons() const {
  int out = 0;
  for (const auto& one : compared) out += one.compared;
  return out;
}

Result<PathsReport> prove_paths(const CheckContext& context, const PathOptions& options) {
  PathsReport report;
  const auto done = on_shadow(context, [&](ShadowUse& shadow) -> Result<CheckResult> {
    PL_TRY(report, PathProof(context, options, shadow).run());
    return CheckResult{};
  });
  PL_CHECK(done);
  return report;
}

}  // namespace poundlock::engine
