#include "cli/demo/story.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "cli/demo/files.h"
#include "cli/demo/lost_writes.h"
#include "cli/fields.h"
#include "engine/verify.h"
#include "rollout/plan.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
constexpr Millis kPoll{150};
constexpr Millis kLimit{15 * 60'000};
constexpr const char* kWho = "demo";

std::string item_of(const bj::object& view) {
  return text_at(view, "item");
}

// The share of everybody that reads the new side, as the server tells it.
double exposure_of(const bj::object& view) {
  const auto* flag = view.if_contains("flag");
  if (!flag || !flag->is_object() || text_at(flag->as_object(), "stage") != "live") return 0;
  return number_at(flag->as_object(), "percentage").value_or(0);
}

}  // namespace

Result<Story> Teller::tell() {
  PL_TRY(auto api, world_.api());
  PL_CHECK(begin(api));
  const TimePoint until = context_.clock.steady() + kLimit;
  phase_since_ = context_.clock.steady();
  while (context_.clock.steady() < until) {
    if (stopped_()) return fail(user_error("demo.stopped", "stopped"));
    if (!world_.server().running())
      return fail(
          internal_error("poundlockd ended: " + tail_of_file(world_.directory() + "/poundlockd.log")));
    PL_TRY(const auto view, api.get(fmt::format("/v1/rollouts/{}", kDemoRollout)));
    show_(view);
    keep_figures(view);
    count_time(text_at(view, "phase"));
    story_.mode = text_at(view, "mode");
    if (story_.mode == "done" || story_.mode == "aborted" || !text_at(view, "trouble").empty()) break;
    PL_CHECK(react(api, view));
    context_.clock.sleep(kPoll);
  }
  PL_CHECK(finish());
  return std::move(story_);
}

Status Teller::begin(Api& api) {
  PL_TRY(const std::string source, read_file(context_, world_.rollout_file()));
  const bj::object body{
      {"source", source}, {"file", world_.rollout_file()}, {"speed", options_.speed}, {"who", kWho}};
  PL_TRY([[maybe_unused]] const auto answer, api.post("/v1/rollouts", body));
  return {};
}

Status Teller::order(Api& api, const std::string& verb, const std::string& subject, const std::string& why) {
  const bj::object body{{"who", kWho}, {"why", why}, {"subject", subject}};
  PL_TRY([[maybe_unused]] const auto answer,
         api.post(fmt::format("/v1/rollouts/{}/{}", kDemoRollout, verb), body));
  return {};
}

Status Teller::react(Api& api, const bj::object& view) {
  const std::string item = item_of(view);
  if (story_.mode == "rolled_back") return rolled_back(api, view);
  if (story_.mode == "paused" && view.contains("paused_by_gate") && !view.at("paused_by_gate").as_bool())
    return fail(make_error(Disposition::kRefused, "demo.paused", text_at(view, "pause_reason")));
  if (story_.mode != "running") return {};
  if (item.starts_with("expose.all_")) PL_CHECK(at_exposure(view, item));
  if (item == "contract.approve_release") {
    story_.excluded_reads_new = world_.figures().excluded_reads_new;
    released_ = true;
    say_("the excluded context is released: batch_processor may read the new side from here on");
    return approve(api, "release");
  }
  // Closing asks every live instance for a build without a legacy path: the application is deployed anew.
  if (item == "contract.closing" && !new_build_) {
    new_build_ = true;
    say_("orders_app is restarted as the build without a legacy path");
    world_.stop_app();
    return world_.start_app("v2-new-only", false);
  }
  if (item == "contract.approve_drop") {
    PL_CHECK(final_verify());
    return approve(api, "drop");
  }
  return {};
}

Status Teller::approve(Api& api, const std::string& what) {
  return order(api, "approve", what, "the demo's operator agrees");
}

// One fault while a few per cent are exposed, another when a quarter is.
Status Teller::at_exposure(const bj::object& view, const std::string& item) {
  if (!options_.faults || !fault_.empty() || exposure_of(view) <= 0) return {};
  if (item == "expose.all_5" && !slow_done_) fault_ = "slow";
  if (item == "expose.all_25" && !fail_done_) fault_ = "fail";
  if (fault_.empty()) return {};
  (fault_ == "slow" ? slow_done_ : fail_done_) = true;
  say_(fault_ == "slow" ? "injected: statements on the new path are 60 ms slower"
                        : "injected: statements on the new path fail");
  injected_at_ = context_.clock.now();
  return world_.set_fault(fault_);
}

Status Teller::rolled_back(Api& api, const bj::object& view) {
  const auto* records = view.if_contains("rollbacks");
  if (!records || !records->is_array() || records->as_array().empty()) return {};
  const auto& last = records->as_array().back().as_object();
  if (fault_.empty()) {
    return fail(make_error(Disposition::kRefused, "demo.rolled_back",
                           fmt::format("rolled back without an injected fault, by {}: {}",
                                       text_at(last, "cause"), text_at(last, "reason"))));
  }
  if (!number_at(last, "everybody_back_ms")) return {};  // a reader has not said yet that it is back
  FaultRecord record{fault_, text_at(last, "cause"), text_at(last, "reason"), 0, 0, 0};
  record.detected_ms = number_at(last, "at_ms").value_or(0) - static_cast<double>(injected_at_.ms);
  record.effective_ms = number_at(last, "everybody_back_ms").value_or(0);
  PL_TRY(auto session, world_.owner());
  PL_TRY(const auto journals, check_journals(*session, world_.journal(), "legacy_status"));
  record.lost_writes = journals.lost;
  story_.lost_writes += journals.lost;
  if (story_.first_loss.empty()) story_.first_loss = journals.first;
  say_(fmt::format(
      "rolled back by {} after {:.0f} ms; every reader back on legacy {:.0f} ms later; {} acknowledged "
      "rows compared, {} lost",
      record.cause, record.detected_ms, record.effective_ms, journals.rows, journals.lost));
  story_.faults.push_back(record);
  PL_CHECK(world_.set_fault("none"));
  fault_.clear();
  PL_CHECK(wait_without_faults());
  say_("the fault is removed; resumed");
  return order(api, "resume", "", "the injected fault is removed");
}

// The application looks at the fault file ten times a second; what is under way still meets the fault.
Status Teller::wait_without_faults() {
  const TimePoint until = context_.clock.steady() + Millis{15'000};
  std::uint64_t before = world_.figures().faults;
  std::uint64_t statements = world_.figures().statements;
  int quiet = 0;  // stats files in a row, a second apart, without a further faulty statement
  while (quiet < 2) {
    if (context_.clock.steady() > until) return fail(internal_error("the injected fault does not go away"));
    context_.clock.sleep(kPoll);
    const AppFigures now = world_.figures();
    if (now.statements == statements) continue;
    statements = now.statements;
    quiet = now.faults == before ? quiet + 1 : 0;
    before = now.faults;
  }
  return {};
}

// Every row once more, with both sides as writers, before the legacy one goes.
Status Teller::final_verify() {
  PL_TRY(auto api, world_.api());
  PL_TRY(const auto json, api.get(fmt::format("/v1/rollouts/{}/plan", kDemoRollout)));
  PL_TRY(const auto plan, rollout::plan_from_json(json));
  PL_TRY(auto session, world_.owner());
  for (const auto& item : plan.items) {
    if (!item.step || item.step->kind != change::StepKind::kVerify || item.step->open) continue;
    engine::VerifyOptions verify;
    verify.open = true;
    PL_TRY(const auto result, engine::verify(*session, context_.clock, *item.step->in_step, verify, {}, {}));
    story_.verified_rows += result.rows;
    story_.mismatches += result.mismatches;
    say_(fmt::format("verified before the drop: {} rows, {} mismatches", result.rows, result.mismatches));
  }
  return {};
}

Status Teller::finish() {
  if (!released_) story_.excluded_reads_new = world_.figures().excluded_reads_new;
  world_.stop_app();
  PL_TRY(auto session, world_.owner());
  // The side that survived: new after the drop, legacy where it did not come so far.
  PL_TRY(const bool legacy, world_.column_exists("legacy_status"));
  PL_TRY(const auto journals,
         check_journals(*session, world_.journal(), legacy ? "legacy_status" : "new_status"));
  story_.lost_writes += journals.lost;
  story_.journaled_rows = journals.rows;
  if (story_.first_loss.empty()) story_.first_loss = journals.first;
  return {};
}

void Teller::keep_figures(const bj::object& view) {
  for (const auto& gate : list_at(view, "gates")) {
    if (!gate.is_object() || text_at(gate.as_object(), "verdict") == "hold") continue;
    auto& kept = story_.gates[text_at(gate.as_object(), "gate")];
    const bool failed = text_at(kept, "worst") == "fail" || text_at(gate.as_object(), "verdict") == "fail";
    kept = gate.as_object();
    kept["worst"] = failed ? "fail" : "pass";
  }
  for (const auto& item : list_at(view, "items")) {
    if (!item.is_object() || !item.as_object().contains("figures")) continue;
    const auto& figures = item.as_object().at("figures").as_object();
    if (text_at(item.as_object(), "id") == "dual_write.backfill" && !figures.empty())
      story_.backfill = figures;
    if (text_at(item.as_object(), "id") == "dual_write.verify" && !figures.empty()) story_.verify = figures;
  }
}

void Teller::count_time(const std::string& phase) {
  const TimePoint now = context_.clock.steady();
  const double seconds = static_cast<double>((now - phase_since_).count()) / 1000.0;
  phase_since_ = now;
  const auto found = std::find_if(story_.phases.begin(), story_.phases.end(),
                                  [&](const auto& one) { return one.first == phase; });
  if (found == story_.phases.end())
    story_.phases.emplace_back(phase, seconds);
  else
    found->second += seconds;
}

}  // namespace poundlock::cli
