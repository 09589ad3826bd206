// What goes wrong in the simulated world, and what operators want.
#include <fmt/format.h>

#include <algorithm>

#include "sim/world.h"

namespace poundlock::sim {
namespace {
using rollout::Mode;
using rollout::Request;
using rollout::RequestKind;
using Where = CrashPoint::Where;
constexpr int kOvertakenMax = 2;
}  // namespace

bool World::at_crash_point(std::initializer_list<Where> where, int index) {
  if (!options_.crash || options_.crash->index != index) return false;
  return std::find(where.begin(), where.end(), options_.crash->where) != where.end();
}

// --- the database's side ---------------------------------------------------------------------------

void World::before_round_trip(Process& p) {
  if (p.dies) p.dead = true;
  if (p.dead || violation_) return;
  clock_.advance(Millis{random_.between(1, 4)});
  const int index = statements_++;
  if (at_crash_point({Where::kBeforeStatement}, index) ||
      (faulty(options_.faults.crashes) && random_.one_in(700))) {
    say(fmt::format("process {} is killed before round trip {}", p.id, index));
    p.dead = true;
    return;
  }
  if (at_crash_point({Where::kAfterStatement}, index)) p.dies = true;
  const bool is_current = &p == &current();
  const bool overtaken =
      is_current && depth_ < kOvertakenMax &&
      (at_crash_point({Where::kTakeover}, index) || (faulty(options_.faults.crashes) && random_.one_in(700)));
  if (overtaken) {
    ++depth_;
    take_over(fmt::format("process {} hangs before round trip {}", p.id, index));
    for (int i = random_.between(1, 6); i > 0 && !violation_; --i) step();
    --depth_;
  } else if (is_current) {
    if (p.controller && clock_.steady() >= p.next_tick) tick(p);
  } else if (random_.one_in(3)) {
    // The overtaken process is slow: the newer one works between its statements. Its own controller
    // learns from its next commit that it has been overtaken.
    ++depth_;
    if (random_.one_in(8)) tick(p);
    if (current().running.empty() && depth_ < 12) step();
    --depth_;
  }
}

Break World::fate(Process& p) {
  if (p.dies) return Break::kAfter;
  if (!faulty(options_.faults.database) || !random_.one_in(80)) return Break::kNone;
  constexpr Break kAll[] = {Break::kBefore, Break::kMiddle, Break::kAfter, Break::kAfter, Break::kDeadlock};
  const Break drawn = kAll[random_.below(5)];
  say(fmt::format("round trip {} of process {} breaks ({})", statements_, p.id, static_cast<int>(drawn)));
  return drawn;
}

CommitFate World::commit_fate(Process& p) {
  const int index = commits_++;
  const auto dies = [&](CommitFate fate, const char* when) {
    say(fmt::format("process {} is killed {} commit {}", p.id, when, index));
    p.dead = true;
    return fate;
  };
  if (at_crash_point({Where::kBeforeCommit}, index)) return dies(CommitFate::kCrashBefore, "before");
  if (at_crash_point({Where::kAfterCommit}, index)) return dies(CommitFate::kCrashAfter, "after");
  if (faulty(options_.faults.crashes) && random_.one_in(120))
    return random_.one_in(2) ? dies(CommitFate::kCrashBefore, "before")
                             : dies(CommitFate::kCrashAfter, "after");
  if (faulty(options_.faults.store) && random_.one_in(50)) return CommitFate::kBusy;
  if (faulty(options_.faults.store) && random_.one_in(150)) return CommitFate::kLostAnswer;
  return CommitFate::kDone;
}

// --- everything else -------------------------------------------------------------------------------

void World::disturb() {
  const Faults& f = options_.faults;
  const TimePoint now = clock_.steady();
  if (f.clock && random_.one_in(40)) {
    const Millis jump{random_.between(-3'600, 3'600) * 1'000LL};
    say(fmt::format("the wall clock is set by {} s", jump.count() / 1000));
    clock_.jump(jump);
  }
  if (f.database && random_.one_in(25)) {
    server_.reader_until = now + Millis{random_.between(50, 20'000)};
    say("a long transaction reads the table");
  }
  if (f.database && random_.one_in(25)) {
    server_.row_lock_until = now + Millis{random_.between(10, 3'000)};
    say("somebody keeps rows locked");
  }
  if (!f.application) return;
  if (random_.one_in(60)) {
    application_.fault = {now + Millis{random_.between(2'000, 20'000)}, random_.one_in(2), true};
    say("the new path fails");
  }
  if (random_.one_in(40)) {
    application_.silence(Millis{random_.between(1'000, 10'000)});
    say("an instance is silent");
  }
  if (random_.one_in(40)) {
    application_.restart_one();
    say("an instance restarts");
  }
  if (random_.one_in(50)) {
    metrics_down_until_ = now + Millis{random_.between(1'000, 8'000)};
    say("figures cannot be read");
  }
}

// What operators order in this tick: what helps the rollout on, and what comes to their minds.
std::vector<Request> World::orders() {
  std::vector<Request> out;
  if (!current().controller) return out;
  const auto& state = current().controller->state();
  if (options_.mutation != Mutation::kDeaf && random_.one_in(2)) willing(state, out);
  if (faulty(options_.faults.operators) && random_.one_in(25)) {
    random_order(out);
    if (random_.one_in(3)) random_order(out);  // two at once
  }
  // The build without a legacy path comes with closing, and goes again where that is taken back.
  if (random_.one_in(3) && !state.restoring) application_.deploy(state.flag.stage != "complete");
  const bool exposed = state.flag.stage == "live" && state.flag.percentage > 40;
  if ((options_.abort || options_.mutation == Mutation::kLeavesRemains) && exposed && !abort_ordered_) {
    abort_ordered_ = true;
    out.push_back({RequestKind::kAbort, "bob", "it is not wanted any more", ""});
  }
  if ((options_.mutation == Mutation::kStickyFlag || options_.mutation == Mutation::kStopsSync) && exposed &&
      !abort_ordered_) {
    abort_ordered_ = true;
    out.push_back({RequestKind::kRollback, "bob", "a drill", ""});
    flags_.stuck = options_.mutation == Mutation::kStickyFlag;
  }
  return out;
}

void World::willing(const rollout::RolloutState& state, std::vector<Request>& out) {
  if (options_.mutation == Mutation::kStickyFlag && abort_ordered_) return;
  if (state.mode == Mode::kRolledBack || (state.mode == Mode::kPaused && !state.paused_by_gate))
    out.push_back({RequestKind::kResume, "alice", "go on", ""});
  if (state.mode == Mode::kDone && !restored_ && options_.faults.operators && options_.seed % 3 == 0) {
    restored_ = true;
    out.push_back({RequestKind::kRollback, "alice", "the old column is wanted again", "restore"});
  }
  if (state.mode != Mode::kRunning || state.position >= plan_.items.size()) return;
  const auto& item = plan_.items[state.position];
  if (item.kind == rollout::ItemKind::kApproval && !state.approvals.contains(item.approval))
    out.push_back({RequestKind::kApprove, "alice", "checked", item.approval});
}

void World::random_order(std::vector<Request>& out) {
  constexpr RequestKind kAll[] = {RequestKind::kPause,    RequestKind::kResume,   RequestKind::kRollback,
                                  RequestKind::kRollback, RequestKind::kPromote,  RequestKind::kPromote,
                                  RequestKind::kApprove,  RequestKind::kRollback, RequestKind::kAbort};
  Request request{kAll[random_.below(9)], random_.one_in(2) ? "bob" : "carol", "an idea", ""};
  if (request.kind == RequestKind::kApprove) request.subject = random_.one_in(2) ? "drop" : "release";
  if (request.kind == RequestKind::kRollback && random_.one_in(3)) request.subject = "prepare";
  // An abort ends the run: rare, or nothing behind it would ever be simulated.
  if (request.kind == RequestKind::kAbort && !random_.one_in(6)) request.kind = RequestKind::kPause;
  out.push_back(std::move(request));
}

}  // namespace poundlock::sim
