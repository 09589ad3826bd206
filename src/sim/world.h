// The running simulation behind simulate(): processes that drive the rollout, the operator, the faults, and
// the checks. Split over world.cpp (processes and ticks), faults.cpp (what goes wrong, who orders what) and
// checks.cpp (the invariants). One thread; a process that was overtaken goes on deeper in the call stack.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/controller.h"
#include "engine/executor.h"
#include "sim/application.h"
#include "sim/clock.h"
#include "sim/server.h"
#include "sim/simulation.h"
#include "sim/store.h"
#include "sim/trace.h"

namespace poundlock::sim {

class World;

class ProcessPublisher final : public ports::FlagPublisher {
 public:
  ProcessPublisher(World& world, int process) : world_(world), process_(process) {}
  Result<flag::Revision> publish(std::string_view rollout, std::string_view flags_json) override;

 private:
  World& world_;
  int process_;
};

// One poundlockd: its controller and its executor. It is kept to the end, for it may be on the stack.
struct Process {
  Process(World& world, int number);
  const int id;
  bool dead = false;
  bool dies = false;  // after the round trip that is under way
  ProcessClock clock;
  ProcessStore store;
  ProcessPublisher publisher;
  SimDatabase database;
  std::optional<engine::Controller> controller;
  std::unique_ptr<engine::Executor> executor;
  std::string running;  // "run:dual_write.backfill" while the executor works
  bool cancel = false;
  std::vector<rollout::StepOutcome> outcomes;
  TimePoint next_tick;
  TimePoint settles;  // the operator answers only then
};

class World {
 public:
  explicit World(const SimulationOptions& options, rollout::Plan plan);
  SimulationResult run();

 private:
  friend struct Process;
  friend class ProcessPublisher;

  // world.cpp
  void start();
  void take_over(const std::string& why);
  void step();
  void tick(Process& process);
  engine::TickInput observe(Process& process);
  void hand_out(Process& process, const std::vector<rollout::Command>& commands);
  void execute(Process& process, const rollout::Command& command);
  Result<flag::Revision> publish(Process& process, std::string_view flags_json);
  bool finished();
  void say(const std::string& line) { trace_.add(clock_.steady(), line); }
  Process& process(int id) { return *processes_[static_cast<std::size_t>(id)]; }
  Process& current() { return *processes_.back(); }

  // faults.cpp
  bool faulty(bool kind) const { return kind && ticks_ < kFaultTicks && !violation_; }
  void before_round_trip(Process& process);
  Break fate(Process& process);
  CommitFate commit_fate(Process& process);
  void disturb();
  std::vector<rollout::Request> orders();
  void willing(const rollout::RolloutState& state, std::vector<rollout::Request>& out);
  void random_order(std::vector<rollout::Request>& out);
  bool at_crash_point(std::initializer_list<CrashPoint::Where> where, int index);

  // checks.cpp
  void violated(const std::string& invariant, const std::string& detail);
  void check_effect(const Effect& effect);
  void check_drop(const Effect& effect, const rollout::RolloutState& committed);
  void check_published(Process& process);
  void check_tick(Process& process);
  void check_windows(std::size_t from, std::size_t to, const rollout::RolloutState& state);
  void check_rollback(const rollout::RolloutState& state);
  void check_end(const rollout::RolloutState& state);
  void check_progress(Process& process);
  std::optional<rollout::RolloutState> committed_state();
  std::string end_state() const;

  static constexpr int kFaultTicks = 150;

  const SimulationOptions options_;
  const rollout::Plan required_;  // what is asked for
  rollout::Plan plan_;            // what is played; they differ by a mutation only
  Random random_;
  WorldClock clock_;
  Trace trace_;
  MemoryStore store_;
  Flags flags_;
  Server server_;
  Application application_;
  std::vector<std::unique_ptr<Process>> processes_;
  SimSchema schema_at_start_;
  std::optional<Violation> violation_;
  int ticks_ = 0;
  int statements_ = 0;
  int commits_ = 0;
  int depth_ = 0;  // processes on the stack that were overtaken
  bool restored_ = false;
  bool abort_ordered_ = false;
  std::uint64_t requests_made_ = 0;
  TimePoint metrics_down_until_;

  // For the checks.
  std::size_t position_ = 0;
  rollout::Mode mode_ = rollout::Mode::kRunning;
  TimePoint entered_;
  bool promoted_ = false;
  bool legacy_there_ = true;
  int ticks_back_ = 0;   // since a rollback began, with its flag not published
  int ticks_quiet_ = 0;  // since the last fault could happen
};

}  // namespace poundlock::sim
