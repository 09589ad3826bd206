#include "engine/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/json.h"

namespace poundlock::engine {
namespace {

namespace bj = boost::json;
using rollout::CommandKind;

constexpr Millis kCommitEvery{1000};  // windows and readings alone are made durable this often
constexpr int kPublishRoundsMax = 3;
// After a restart instances report again one by one, once a second. Until all have had time to, the few
// that are known must not stand for the fleet: readers that are not listed would count as being up to date.
constexpr Millis kSettle{5'000};

std::string key_of(std::string_view name, std::string_view part) {
  return fmt::format("rollout/{}/{}", name, part);
}

std::string gates_json(const rollout::RolloutState& state) {
  bj::array gates;
  for (const auto& reading : state.gates) {
    gates.push_back(bj::object{{"gate", reading.gate},
                               {"verdict", to_string(reading.verdict)},
                               {"value", reading.value ? bj::value(*reading.value) : bj::value(nullptr)},
                               {"limit", reading.limit},
                               {"reason", reading.reason}});
  }
  return json::dump(
      json::Object{{"position", state.position}, {"mode", to_string(state.mode)}, {"gates", gates}});
}

std::vector<ports::AuditEntry> audit_of(const rollout::RolloutState& state,
                                        const std::vector<rollout::Event>& events, TimePoint now) {
  std::vector<ports::AuditEntry> out;
  for (const auto& event : events) {
    ports::AuditEntry entry;
    entry.at = now;
    entry.who = event.who;
    entry.what = event.what;
    entry.subject = state.rollout;
    entry.why = event.why;
    entry.details = gates_json(state);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace

std::string core_of(const rollout::RolloutState& state) {
  rollout::RolloutState core = state;
  core.last_tick = {};
  core.dwelt = {};
  core.holding_since = {};
  core.windows.clear();
  core.marks.clear();
  core.gates.clear();
  return bj::serialize(rollout::to_json(core));  // compared only: the faster of the two
}

Result<std::vector<std::string>> Controller::names(ports::StateStore& store) {
  PL_TRY(const auto entries, store.list("rollout/"));
  std::vector<std::string> out;
  for (const auto& entry : entries) {
    const auto end = entry.key.find('/', 8);
    if (end != std::string::npos && entry.key.substr(end) == "/state")
      out.push_back(entry.key.substr(8, end - 8));
  }
  return out;
}

Result<Controller> Controller::start(ports::StateStore& store, ports::FlagPublisher& publisher,
                                     rollout::Plan plan, std::string_view source, std::string_view who,
                                     TimePoint now) {
  Controller out(store, publisher);
  out.plan_ = std::move(plan);
  out.state_ = rollout::begin(out.plan_, now);
  const std::string& name = out.plan_.rollout;
  std::vector<ports::Write> writes;
  for (const auto& [part, value] :
       {std::pair<std::string_view, std::string>{"plan", json::dump(rollout::to_json(out.plan_))},
        {"source", std::string(source)},
        {"state", json::dump(rollout::to_json(out.state_))}}) {
    PL_TRY(const auto old, store.get(key_of(name, part)));
    if (old && part == "state") {
      PL_TRY(const auto json, json::parse(old->value, old->key, json::kOwnLimits));
      PL_TRY(const auto before, rollout::state_from_json(json));
      const bool over = before.mode == rollout::Mode::kAborted;
      if (!over) {
        return fail(
            make_error(Disposition::kConflict, "rollout.exists",
                       fmt::format("rollout {} exists already and is {}", name, to_string(before.mode)))
                .with_hint(
                    before.mode == rollout::Mode::kDone
                        ? fmt::format("`poundlock status {}` shows it; a new change needs a new name", name)
                        : fmt::format("`poundlock status {0}` shows it. It keeps the plan that it was "
                                      "started with; after editing the file: "
                                      "`poundlock abort {0}`, then start it again",
                                      name)));
      }
      out.state_.generation = before.generation + 1;  // an executor of the old one may still be alive
    }
    const bool state = part == "state";
    writes.push_back({key_of(name, part), state ? json::dump(rollout::to_json(out.state_)) : value,
                      old ? old->version : 0});
    if (state) out.version_ = (old ? old->version : 0) + 1;
  }
  const rollout::Event event{std::string(who), "start",
                             out.plan_.items.empty() ? "" : out.plan_.items.front().title};
  // Two that start the same name at once: the second one's versions differ, and it gets the conflict.
  if (auto status = store.commit(writes, audit_of(out.state_, {event}, now)); !status) {
    Error error = std::move(status).error();
    if (error.code == "store.conflict") {
      error = make_error(Disposition::kConflict, "rollout.exists",
                         fmt::format("rollout {} was started by somebody else just now", name))
                  .with_hint(fmt::format("`poundlock status {}` shows it", name));
    }
    return fail(std::move(error));
  }
  out.report_ =
      rollout::decide(out.state_, out.plan_, {}, now).report;  // for whoever asks before the first tick
  return out;
}

Result<Controller> Controller::load(ports::StateStore& store, ports::FlagPublisher& publisher,
                                    std::string_view name, TimePoint now) {
  Controller out(store, publisher);
  PL_TRY(const auto plan, store.get(key_of(name, "plan")));
  PL_TRY(const auto state, store.get(key_of(name, "state")));
  if (!plan || !state) {
    return fail(user_error("rollout.unknown", fmt::format("there is no rollout {}", name))
                    .with_hint("`poundlock status` lists the rollouts"));
  }
  PL_TRY(const auto plan_json, json::parse(plan->value, plan->key, json::kOwnLimits));
  PL_TRY(out.plan_, rollout::plan_from_json(plan_json));
  PL_TRY(const auto state_json, json::parse(state->value, state->key, json::kOwnLimits));
  PL_TRY(out.state_, rollout::state_from_json(state_json));
  out.version_ = state->version;
  const bool closed = out.state_.mode == rollout::Mode::kDone || out.state_.mode == rollout::Mode::kAborted;
  if (closed) return out;
  out.state_.generation += 1;
  out.taken_over_ = TimePoint{};
  out.state_.last_tick = {};                          // nobody watched in between: no window grew
  if (out.plan_.flag) out.state_.flag_revision = {};  // published anew; the same content keeps its revision
  const rollout::Event event{"controller", "take_over", fmt::format("generation {}", out.state_.generation)};
  PL_CHECK(out.commit(out.state_, {event}, now));
  return out;
}

Status Controller::commit(const rollout::RolloutState& next, const std::vector<rollout::Event>& events,
                          TimePoint now) {
  const ports::Write write{key_of(next.rollout, "state"), json::dump(rollout::to_json(next)), version_};
  PL_CHECK(store_->commit({write}, audit_of(next, events, now)));
  version_ += 1;
  committed_at_ = now;
  committed_core_ = core_of(next);
  return {};
}

Status Controller::publish(const rollout::Command& command) {
  PL_TRY(const auto revision, publisher_->publish(plan_.rollout, command.flags));
  published_ = rollout::Published{command.flags, revision};
  return {};
}

bool Controller::settled(TimePoint at) {
  if (!taken_over_) return true;
  if (taken_over_->ms == 0) *taken_over_ = at;
  if (at - *taken_over_ >= Millis{0} && at - *taken_over_ < kSettle) return false;
  taken_over_.reset();
  return true;
}

Result<TickOutput> Controller::tick(const TickInput& input, TimePoint now) {
  TickOutput out;
  rollout::Observations seen{input.values, input.app, input.outcomes, input.requests, published_};
  if (!settled(input.steady.value_or(now))) seen.app.reset();
  std::optional<Millis> passed;
  if (input.steady) passed = steady_ ? *input.steady - *steady_ : Millis{0};
  for (int round = 0; round < kPublishRoundsMax; ++round) {
    rollout::Decision decision = rollout::decide(state_, plan_, seen, now, passed);
    // A controller that somebody has overtaken learns it from the commit: so none publishes without one.
    const bool publishes = std::any_of(decision.commands.begin(), decision.commands.end(),
                                       [](const auto& one) { return one.kind == CommandKind::kPublish; });
    const bool material = publishes || !decision.events.empty() || core_of(decision.state) != committed_core_;
    if (material || now - committed_at_ >= kCommitEvery || now < committed_at_)
      PL_CHECK(commit(decision.state, decision.events, now));
    state_ = std::move(decision.state);
    steady_ = input.steady;
    if (passed) passed = Millis{0};
    report_ = std::move(decision.report);
    for (auto& answer : decision.answers) out.answers.push_back(std::move(answer));
    out.commands.clear();
    bool published = false;
    for (auto& one : decision.commands) {
      if (one.kind == CommandKind::kPublish) {
        PL_CHECK(publish(one));
        published = true;
      } else {
        out.commands.push_back(std::move(one));
      }
    }
    if (!published) break;
    // Decide again at once: what was waiting for the flag goes on in the same tick.
    seen.outcomes.clear();
    seen.requests.clear();
    seen.published = published_;
  }
  return out;
}

}  // namespace poundlock::engine
