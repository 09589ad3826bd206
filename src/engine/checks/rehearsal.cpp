#include "engine/checks/rehearsal.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>

#include "engine/checks/rehearsal_values.h"
#include "engine/checks/shadow_blockers.h"
#include "engine/checks/touched_columns.h"
#include "engine/leftovers.h"
#include "engine/step_runner.h"
#include "schema/catalog.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

constexpr int kSkippedShown = 10;  // in a gate's text

Result<std::string> fingerprint_of(const CheckContext& context, ports::Session& session) {
  PL_TRY(const auto catalog, context.ports.load_catalog(session));
  return schema::fingerprint(catalog, {false, {"poundlock"}}).text;
}

// Counts every row and sums the hashes of their contents, so that a changed value cannot hide. As JSON, whose
// keys are sorted: a column that was dropped and restored stands last. Without what triggers write anyway.
Result<std::string> data_of(const CheckContext& context, ports::Session& session,
                            const std::vector<TouchedColumns>& touched) {
  std::string out;
  for (const auto& table : tables_of(context.plan)) {
    std::string without;
    for (const auto& one : touched)
      for (const auto& column : one.columns)
        if (one.table == table) without += " - " + schema::quote_literal(column) + "::text";
    PL_TRY(const auto rows,
           session.run(fmt::format(
               "SELECT count(*)::text || ':' || "
               "coalesce(sum(pg_catalog.hashtextextended((pg_catalog.to_jsonb(t){})::text, 0)::numeric),"
               " 0)::text FROM {} t",
               without, table.to_sql())));
    out += rows.rows.at(0).at(0).value_or("") + "\n";
  }
  return out;
}

// The first line that only one of them has, with its sign.
std::string first_difference(const std::string& a, const std::string& b) {
  const auto lines = [](const std::string& text) {
    std::set<std::string> out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      out.insert(text.substr(at, end - at));
      at = end + 1;
    }
    return out;
  };
  const auto was = lines(a), is = lines(b);
  for (const auto& line : was)
    if (!is.contains(line)) return "missing: " + line;
  for (const auto& line : is)
    if (!was.contains(line)) return "too much: " + line;
  return "another order";
}

// Our trigger is another one after a restore: its sides are exchanged. What it does is shown by the rows.
std::string without_our_triggers(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line.find(": trigger ") == std::string::npos ||
        line.find(" EXECUTE FUNCTION poundlock.") == std::string::npos)
      out += line + "\n";
    at = end + 1;
  }
  return out;
}

Status refuse(std::string message) {
  return fail(make_error(Disposition::kRefused, "rehearsal.differs", std::move(message)));
}

class Rehearsal {
 public:
  Rehearsal(const CheckContext& context, const RehearsalOptions& options, ShadowUse& shadow)
      : context_(context), options_(options), shadow_(shadow) {}

  Result<RehearsalReport> run() {
    PL_TRY(session_, shadow_.database().connect());
    report_.shadow = shadow_.info().description;
    began_ = now();
    LegacyWrites writes(context_.plan, *session_);
    PL_CHECK(writes.live_a_little());
    PL_TRY(touched_, touched_columns(context_.plan, tables_of(context_.plan), *session_, report_.notes));
    for (const auto& one : touched_) report_.notes.push_back(one.to_string());
    PL_TRY(before_, look());
    PL_TRY(const Wal wal_before, writes.cost());
    leg(Phase::kPrepare, "nothing is changed yet", "back", [&] { return expect(before_, true); });
    if (options_.each_step) each_step();
    PL_CHECK(dual_write());
    expose();
    PL_TRY(const Wal wal_after, writes.cost());
    if (wal_before.bytes > 0) report_.wal_ratio = wal_after.bytes / wal_before.bytes;
    if (wal_before.records > 0) report_.wal_records_ratio = wal_after.records / wal_before.records;
    report_.wal_records_before = wal_before.records;
    report_.wal_records_after = wal_after.records;
    expose_back();
    contract();
    if (stopped()) return fail(make_error(Disposition::kRetry, "check.stopped", "the check was stopped"));
    for (const auto& note : writes.notes()) report_.notes.push_back(note);
    return std::move(report_);
  }

 private:
  struct Look {
    std::string schema, data;
  };
  using Phase = change::Phase;

  TimePoint now() const { return context_.ports.clock->steady(); }
  bool stopped() const { return context_.ports.stopped && context_.ports.stopped(); }
  Result<Look> look() {
    Look out;
    PL_TRY(out.schema, fingerprint_of(context_, *session_));
    PL_TRY(out.data, data_of(context_, *session_, touched_));
    return out;
  }
  // `nothing_left`: the rollout has been taken back as a whole.
  Status expect(const Look& wanted, bool nothing_left);
  void leg(Phase phase, std::string at, std::string direction, const std::function<Status()>& walk);
  void skip(Phase phase, std::string at, std::string direction, std::string why) {
    report_.legs.push_back(
        {phase, std::move(at), std::move(direction), 0, LegVerdict::kSkipped, std::move(why)});
  }
  Status forward(Phase phase) { return forward_on_shadow(context_, shadow_.database(), phase); }
  Status back() { return back_on_shadow(context_, shadow_.database()); }
  Status perform(const change::Step& step, Direction direction) {
    return perform_on_shadow(context_, shadow_.database(), step, direction);
  }
  void each_step();
  Status dual_write();
  void expose();
  void expose_back();
  void contract();
  Status before_the_drop();

  const CheckContext& context_;
  const RehearsalOptions& options_;
  ShadowUse& shadow_;
  std::unique_ptr<ports::Session> session_;
  TimePoint began_;
  std::vector<TouchedColumns> touched_;
  Look before_, expanded_;
  bool broken_ = false;  // a way failed: where the shadow stands now is not known
  RehearsalReport report_;
};

Status Rehearsal::expect(const Look& wanted, bool nothing_left) {
  PL_TRY(const Look is, look());
  if (is.schema != wanted.schema)
    return refuse("the schema is not as expected; " + first_difference(wanted.schema, is.schema));
  if (is.data != wanted.data) return refuse("the data is not as expected");
  if (!nothing_left) return {};
  std::vector<change::Step> steps;
  for (const auto* step : forward_steps(context_.plan, Phase::kDualWrite)) steps.push_back(*step);
  PL_TRY(const auto left, leftovers(*session_, context_.plan.rollout, steps, context_.plan.fresh));
  if (!left.empty()) return refuse("left behind: " + left.front());
  return {};
}

void Rehearsal::leg(Phase phase, std::string at, std::string direction, const std::function<Status()>& walk) {
  if (broken_ || stopped()) return skip(phase, std::move(at), std::move(direction), "an earlier way failed");
  const TimePoint begin = now();
  const Status walked = walk();
  RehearsalLeg one{phase,
                   std::move(at),
                   std::move(direction),
                   static_cast<double>((now() - begin).count()) / 1000.0,
                   LegVerdict::kPassed,
                   {}};
  if (!walked) {
    one.verdict = LegVerdict::kFailed;
    one.detail = walked.error().to_string();
    broken_ = true;
  }
  if (context_.ports.progress) {
    Progress progress;
    progress.step = fmt::format("{}, {}, {}", change::to_string(phase), one.at, one.direction);
    context_.ports.progress(progress);
  }
  report_.legs.push_back(std::move(one));
}

// Forward to each step of the expand, stopped in its middle as by a kill, and back.
void Rehearsal::each_step() {
  const auto steps = forward_steps(context_.plan, Phase::kDualWrite);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string at = "in the middle of " + steps[i]->id;
    if (now() - began_ > options_.budget) {
      skip(Phase::kDualWrite, at, "back",
           fmt::format("{} were spent on the steps before", format_duration(options_.budget)));
      continue;
    }
    leg(Phase::kDualWrite, at, "back", [&]() -> Status {
      for (std::size_t k = 0; k < i; ++k) PL_CHECK(perform(*steps[k], Direction::kForward));
      PL_CHECK(stop_in_the_middle(context_, shadow_.database(), *steps[i]));
      PL_CHECK(back());
      return expect(before_, true);
    });
  }
}

Status Rehearsal::dual_write() {
  leg(Phase::kDualWrite, "all steps", "forward", [&] { return forward(Phase::kDualWrite); });
  if (!broken_) {
    PL_TRY(expanded_, look());
  }
  leg(Phase::kDualWrite, "at its end", "back", [&]() -> Status {
    PL_CHECK(back());
    return expect(before_, true);
  });
  leg(Phase::kDualWrite, "once more", "forward", [&]() -> Status {
    PL_CHECK(forward(Phase::kDualWrite));
    return expect(expanded_, false);
  });
  return {};
}

void Rehearsal::expose() {
  leg(Phase::kExpose, "both sides may be written", "forward", [&]() -> Status {
    PL_CHECK(forward(Phase::kExpose));
    return expect(expanded_, false);
  });
  if (broken_) return;
  leg(Phase::kExpose, "what the new side writes", "back",
      [&] { return new_values_come_back(context_.plan, *session_, report_.notes); });
  broken_ = false;  // it is taken back in any case, and the ways after it are walked all the same
}

void Rehearsal::expose_back() {
  leg(Phase::kExpose, "readers go back, dual writing goes on", "back", [&]() -> Status {
    const auto steps = forward_steps(context_.plan, Phase::kExpose);
    for (auto it = steps.rbegin(); it != steps.rend(); ++it)
      if (!(*it)->undo.empty()) PL_CHECK(perform(**it, Direction::kUndo));
    return expect(expanded_, false);
  });
  leg(Phase::kExpose, "everything goes back", "back", [&]() -> Status {
    PL_CHECK(forward(Phase::kExpose));
    PL_CHECK(back());
    return expect(before_, true);
  });
}

// The last comparison, and whatever else comes before data is lost.
Status Rehearsal::before_the_drop() {
  for (const auto* step : forward_steps(context_.plan, Phase::kContract)) {
    if (step->destructive) return {};
    PL_CHECK(perform(*step, Direction::kForward));
  }
  return {};
}

void Rehearsal::contract() {
  if (forward_steps(context_.plan, Phase::kContract).empty()) return;
  const auto to_the_drop = [&]() -> Status {
    PL_CHECK(forward(Phase::kDualWrite));
    PL_CHECK(forward(Phase::kExpose));
    return before_the_drop();
  };
  leg(Phase::kContract, "before the drop", "back", [&]() -> Status {
    PL_CHECK(to_the_drop());
    PL_CHECK(back());
    return expect(before_, true);
  });
  if (shadow_.info().kept) {
    return skip(Phase::kContract, "the drop", "forward",
                "a clone cannot take the drop back; on a copy of it the drop is rehearsed, too");
  }
  Look dropped;
  leg(Phase::kContract, "the drop", "forward", [&]() -> Status {
    PL_CHECK(to_the_drop());
    PL_TRY(auto aside, set_views_aside(*session_, context_.plan));
    std::move(aside.begin(), aside.end(), std::back_inserter(report_.notes));
    PL_TRY(expanded_, look());
    PL_CHECK(forward(Phase::kContract));
    PL_TRY(dropped, look());
    return {};
  });
  if (!context_.plan.restore.empty())
    leg(Phase::kContract, "after the drop", "restore", [&]() -> Status {
      for (const auto& step : context_.plan.restore) PL_CHECK(perform(step, Direction::kForward));
      PL_TRY(const Look is, look());
      if (is.data != expanded_.data)
        report_.notes.push_back(
            "after a restore the legacy side holds other values than before the drop: `down` "
            "does not give back all that `up` was given");
      const std::string wanted = without_our_triggers(expanded_.schema),
                        got = without_our_triggers(is.schema);
      return got == wanted ? Status{}
                           : refuse("the schema is not as expected; " + first_difference(wanted, got));
    });
  leg(Phase::kContract, "once more", "forward", [&]() -> Status {
    if (!context_.plan.restore.empty()) PL_CHECK(forward(Phase::kExpose));
    PL_CHECK(forward(Phase::kContract));
    return expect(dropped, false);
  });
}

}  // namespace

const char* to_string(LegVerdict verdict) {
  switch (verdict) {
    case LegVerdict::kPassed: return "passed";
    case LegVerdict::kFailed: return "failed";
    case LegVerdict::kSkipped: return "skipped";
  }
  return "";
}

int RehearsalReport::failures() const {
  return static_cast<int>(std::count_if(legs.begin(), legs.end(),
                                        [](const auto& one) { return one.verdict == LegVerdict::kFailed; }));
}

Result<RehearsalReport> rehearse(const CheckContext& context, const RehearsalOptions& options) {
  RehearsalReport report;
  const auto done = on_shadow(context, [&](ShadowUse& shadow) -> Result<CheckResult> {
    PL_TRY(report, Rehearsal(context, options, shadow).run());
    return CheckResult{};
  });
  PL_CHECK(done);
  return report;
}

Result<CheckResult> check_rehearsal(const CheckContext& context) {
  if (!context.ports.shadow) return CheckResult{{}, "no shadow is configured"};
  PL_TRY(const auto report, rehearse(context, {}));
  CheckResult out;
  out.figures = {{"failures", report.failures()}};
  if (report.wal_ratio > 0) out.figures["wal_ratio"] = report.wal_ratio;
  if (report.wal_records_ratio > 0) out.figures["wal_records_ratio"] = report.wal_records_ratio;
  int skipped = 0;
  std::string left_out;
  for (const auto& one : report.legs) {
    if (one.verdict == LegVerdict::kSkipped && ++skipped <= kSkippedShown)
      left_out += fmt::format("{}{}, {}, {}: {}", skipped == 1 ? "" : "; ", change::to_string(one.phase),
                              one.at, one.direction, one.detail);
    if (one.verdict != LegVerdict::kFailed) continue;
    out.detail += fmt::format("{}{}, {}, {}: {}", out.detail.empty() ? "" : "; ",
                              change::to_string(one.phase), one.at, one.direction, one.detail);
  }
  if (report.failures() == 0) {
    out.detail = fmt::format(
        "{} ways on {}; schema and data as before after each way back; an updated row writes {:.1f} WAL "
        "records, "
        "{:.1f} before",
        report.legs.size() - static_cast<std::size_t>(skipped), report.shadow, report.wal_records_after,
        report.wal_records_before);
    for (const auto& note : report.notes) out.detail += "; " + note;
  }
  // What nobody walked is no proof: it is named, also where a way failed.
  if (skipped > 0) out.detail += fmt::format("; skipped: {}", left_out);
  if (skipped > kSkippedShown) out.detail += fmt::format("; and {} more", skipped - kSkippedShown);
  return out;
}

}  // namespace poundlock::engine
