// The invariants. Each looks at what is so, in the simulated database, store and flags, and not at what the
// rollout's state says about it.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "sim/world.h"

namespace poundlock::sim {
namespace {

using rollout::ItemKind;
using rollout::Mode;

constexpr int kTicksBackMax = 8;  // from a rollback's state to its flag, with a store that fails now and then
constexpr int kTicksQuietMax = 700;  // from the last fault to the end

}  // namespace

std::vector<InvariantInfo> invariants() {
  return {{"committed_before_effects",
           "nothing happens in the database or to a flag that the committed state does not say"},
          {"stale_generations",
           "an executor that is out of date changes nothing, and each transaction is fenced"},
          {"step_once", "no step takes effect twice"},
          {"readers_can_read", "no statement of an application fails because of the change"},
          {"drop_is_guarded",
           "the legacy side goes only after approval, with the flag closed and applied by everybody"},
          {"new_is_verified", "nobody is sent to the new side before every row is in step and verified"},
          {"exclusions_hold", "excluded contexts stay on legacy until they are released"},
          {"windows_last", "no window or dwell is shorter than asked for"},
          {"rollback_is_quick", "a rollback has its flag published within a few ticks"},
          {"rollback_keeps_schema", "a rollback of exposure goes on writing both sides"},
          {"nothing_left", "after an abort, or a rollback to the beginning, the schema is as before"},
          {"writes_survive", "every acknowledged write is there, on whichever side is read"},
          {"progress", "without further faults and with a willing operator the rollout comes to its end"}};
}

void World::violated(const std::string& invariant, const std::string& detail) {
  if (violation_) return;
  violation_ = Violation{invariant, detail};
  say(fmt::format("VIOLATED {}: {}", invariant, detail));
}

std::optional<rollout::RolloutState> World::committed_state() {
  const auto entry = store_.get(fmt::format("rollout/{}/state", plan_.rollout));
  if (!entry || !*entry) return std::nullopt;
  const auto json = json::parse((*entry)->value, "state");
  if (!json) return std::nullopt;
  auto state = rollout::state_from_json(*json);
  return state ? std::optional(std::move(*state)) : std::nullopt;
}

// --- effects in the database -----------------------------------------------------------------------

void World::check_effect(const Effect& effect) {
  if (violation_) return;
  std::string what = effect.step.empty() ? effect.effects.front() : effect.step;
  say(fmt::format("database: {} {} by process {} generation {}", what, effect.direction, effect.process,
                  effect.generation));
  if (effect.generation == 0) return violated("stale_generations", fmt::format("{} without a fence", what));
  if (effect.generation < effect.held && effect.in_transaction)
    return violated("stale_generations", fmt::format("{} by generation {} while {} holds the rollout", what,
                                                     effect.generation, effect.held));
  if (effect.repeated) return violated("step_once", fmt::format("{} ran while its effect was there", what));
  const auto committed = committed_state();
  if (!committed || committed->generation < effect.generation)
    return violated("committed_before_effects",
                    fmt::format("{} by generation {}, which is not committed", what, effect.generation));
  const bool stale = committed->generation > effect.generation;
  const bool known =
      effect.step.empty() || stale || committed->steps.contains(effect.step) ||
      std::find(committed->undo.begin(), committed->undo.end(), effect.step) != committed->undo.end() ||
      committed->restoring || committed->undo_all;
  if (!known) return violated("committed_before_effects", fmt::format("{} is in no committed state", what));
  check_drop(effect, *committed);
}

void World::check_drop(const Effect& effect, const rollout::RolloutState& committed) {
  const bool there = server_.schema.legacy.exists;
  if (std::exchange(legacy_there_, there) == there || there) return;
  if (options_.mutation == Mutation::kDropsReaders) return;  // what its readers meet is to be noticed
  const std::string closed = rollout::flag_document(plan_, {"complete", 100, 100, false});
  if (!committed.approvals.contains("drop")) return violated("drop_is_guarded", "dropped without approval");
  if (flags_.current() != closed) return violated("drop_is_guarded", "dropped before the flag was closed");
  if (!application_.everybody_applied())
    return violated("drop_is_guarded", "dropped while a reader had not applied the closing: " + effect.step);
  if (server_.synced_since.ms != 0) violated("drop_is_guarded", "dropped, and the trigger is still there");
}

// --- flags -----------------------------------------------------------------------------------------

void World::check_published(Process& p) {
  const auto committed = committed_state();
  if (!committed || flags_.current() != rollout::flag_document(plan_, committed->flag))
    return violated("committed_before_effects",
                    fmt::format("process {} publishes what is not the committed state's flag", p.id));
  const auto& flag = committed->flag;
  const bool live = flag.stage == "live" || flag.stage == "rampdown" || flag.stage == "complete";
  const bool exposes = live && (flag.percentage > 0 || flag.internal_percentage > 0);
  if (exposes && server_.schema.legacy.exists) {
    if (!server_.schema.fresh.exists) return violated("new_is_verified", "exposed without a new side");
    if (server_.verified_at.ms == 0) return violated("new_is_verified", "exposed before verify was done");
    if (const int out = server_.mismatches(); out > 0)
      return violated("new_is_verified", fmt::format("exposed with {} rows out of step", out));
  }
  if (application_.exclusion_leaks() && !committed->approvals.contains("release"))
    violated("exclusions_hold", "an excluded context is given the new side without a release");
}

// --- after each tick -------------------------------------------------------------------------------

void World::check_tick(Process& p) {
  const rollout::RolloutState state = p.controller->state();
  const bool moved = state.position != position_ || state.mode != mode_;
  if (moved) {
    const std::string item = state.position < plan_.items.size() ? plan_.items[state.position].id : "end";
    say(fmt::format("{} at {}, generation {}", rollout::to_string(state.mode), item, state.generation));
  }
  const bool forward = state.position > position_ && mode_ != Mode::kRolledBack;
  if (forward) check_windows(position_, state.position, state);
  const bool back_again = state.mode == Mode::kRunning && mode_ == Mode::kRolledBack;
  if (state.position != position_ || back_again) {
    entered_ = clock_.steady();
    promoted_ = false;
  }
  if (state.mode == Mode::kRolledBack && mode_ != Mode::kRolledBack && state.position > 0) {
    if (options_.mutation == Mutation::kStopsSync) server_.schema.triggers.clear();
    const std::string mode = server_.schema.sync_mode();
    if (!server_.schema.fresh.exists || mode.empty() || mode == "off")
      violated("rollback_keeps_schema",
               "rolled back in exposure, and the sides are not kept in step: " + server_.schema.text());
  }
  const bool at_start =
      (state.mode == Mode::kRolledBack && state.position == 0) || state.mode == Mode::kAborted;
  if (at_start && state.mode != mode_ && server_.schema != schema_at_start_)
    violated("nothing_left", "left behind: " + server_.schema.text());
  position_ = state.position;
  mode_ = state.mode;
  check_rollback(state);
  check_progress(p);
}

void World::check_windows(std::size_t from, std::size_t to, const rollout::RolloutState&) {
  for (std::size_t i = from; i < to && i < plan_.items.size(); ++i) {
    const rollout::Item* item = required_.item(plan_.items[i].id);
    const bool lasts = item && (item->kind == ItemKind::kWindow || item->kind == ItemKind::kExposure);
    if (!lasts || (item->kind == ItemKind::kExposure && promoted_)) continue;
    TimePoint since = i == from ? entered_ : clock_.steady();
    if (item->window == "dual_write")
      since = server_.synced_since.ms ? server_.synced_since : clock_.steady();
    if (item->window == "overlap") since = server_.verified_at;
    if (clock_.steady() - since < item->duration)
      violated("windows_last", fmt::format("{} lasted {} ms of {}", item->id,
                                           (clock_.steady() - since).count(), item->duration.count()));
  }
}

void World::check_rollback(const rollout::RolloutState& state) {
  const bool back =
      state.mode == Mode::kRollingBack || state.mode == Mode::kRolledBack || state.mode == Mode::kAborted;
  if (!back || state.restoring) {
    ticks_back_ = 0;
    return;
  }
  const bool said = flags_.snapshot() && flags_.current() == rollout::flag_document(plan_, state.flag) &&
                    flags_.snapshot()->revision() == flags_.revision();
  ticks_back_ = said ? 0 : ticks_back_ + 1;
  if (ticks_back_ > kTicksBackMax)
    violated("rollback_is_quick",
             fmt::format("{} ticks after the rollback its flag is not out", ticks_back_));
}

void World::check_progress(Process& p) {
  ticks_quiet_ = faulty(true) ? 0 : ticks_quiet_ + 1;
  if (ticks_quiet_ <= kTicksQuietMax || mode_ == Mode::kDone || mode_ == Mode::kAborted) return;
  std::string waits;
  for (const auto& one : p.controller->report().waiting) waits += (waits.empty() ? "" : "; ") + one;
  violated("progress", fmt::format("{} ticks without a fault, and it is at {}: {}", ticks_quiet_,
                                   p.controller->report().headline, waits));
}

// --- the end ---------------------------------------------------------------------------------------

void World::check_end(const rollout::RolloutState& state) {
  if (state.mode != Mode::kDone && state.mode != Mode::kAborted)
    return violated("progress", fmt::format("it ended {}", rollout::to_string(state.mode)));
  const bool fresh = state.mode == Mode::kDone;
  if (fresh && server_.schema.legacy.exists) violated("progress", "done, and the legacy side is there");
  for (const auto& [id, value] : application_.journal()) {
    const auto read = server_.read(id, fresh);
    if (!read || *read != value) {
      return violated("writes_survive", fmt::format("row {} holds {} at the end and {} was acknowledged", id,
                                                    read ? *read : read.error().message, value));
    }
  }
  if (server_.rows.size() != application_.journal().size())
    violated("writes_survive", "rows that nobody wrote");
}

std::string World::end_state() const {
  return fmt::format("{}; {}; {}", rollout::to_string(mode_), server_.schema.text(), flags_.current());
}

}  // namespace poundlock::sim
