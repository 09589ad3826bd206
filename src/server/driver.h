// Drives one rollout in the server: observes, ticks the controller, carries commands out. Several threads,
// so that nothing slow can hold up a kill:
//   collector  asks the gates' questions and watches locks; may wait for a database
//   executor   carries out one command at a time; may wait for a database
//   ticker     decides and publishes; touches the store only, and works without any database
// Requests of operators are answered by the next tick, which they trigger.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "engine/controller.h"
#include "engine/executor.h"
#include "ports/metrics_source.h"
#include "server/connections.h"

namespace poundlock::server {

// A consistent copy of what is shown of a rollout.
struct RolloutView {
  rollout::RolloutState state;
  rollout::Report report;
  std::shared_ptr<const rollout::Plan> plan;
  std::optional<engine::Progress> progress;
  std::vector<rollout::InstanceInfo> instances;
  std::string trouble;  // why nothing is driven any more, where that is so
};

class Driver {
 public:
  // Asked until it answers, every few seconds: a password file may be mended while the server runs. Its
  // argument says when what the connections do is to end.
  using Connect = std::function<Result<Connections>(std::function<bool()> stopped)>;
  Driver(engine::Controller controller, Connect connect, ports::MetricsSource& metrics, Clock& clock,
         std::function<void()> on_change);
  ~Driver();  // stop()
  Driver(const Driver&) = delete;

  // What is under way is cancelled and resumes with the next driver. begin_stop() does not wait, so that
  // many drivers end together. Afterwards view() still answers; orders are told that the server is stopping.
  void begin_stop();
  void stop();

  // Waits for the tick that answers, at most 10 s. Thread-safe.
  Status request(rollout::Request request);
  RolloutView view() const;  // thread-safe
  const std::string& name() const { return name_; }
  bool finished() const;  // thread-safe

 private:
  struct Pending {
    rollout::Request request;
    std::promise<std::optional<Error>> answer;
  };
  void tick_loop();
  bool connect();  // false: stopped first
  // Nothing of a rollout that is over is looked at any more: false once it is.
  bool observing() const;
  bool wait_until_observing();  // connected, too; false: stopped first
  void execute_loop();
  void collect_loop();
  void watch_locks_loop();
  void keep(rollout::Observations seen);
  void wake();
  std::function<bool()> stopped();  // for what works on a database: polled there
  void hand_out(const std::vector<rollout::Command>& commands);
  void cancel_running();
  bool tick_once();
  bool finished_locked() const;
  bool settled_locked() const;
  engine::ExecutorPorts executor_ports();

  const std::string name_;
  const Connect connect_;
  Connections connections_;  // the executor's thread makes them; the others look once connected_ is set
  ports::MetricsSource& metrics_;
  Clock& clock_;
  std::function<void()> on_change_;
  std::shared_ptr<const rollout::Plan> plan_;
  std::vector<std::string> excluded_;

  std::string last_error_;  // of a tick; the ticker's

  std::mutex controller_mutex_;  // the ticker's; taken by nobody who waits for a database
  engine::Controller controller_;

  mutable std::mutex mutex_;  // everything below
  std::condition_variable changed_;
  bool wake_ = true;  // the first tick comes at once
  bool connected_ = false;
  std::string connection_trouble_;
  std::unique_ptr<engine::Executor> executor_;  // made once connected, then left alone
  std::vector<std::unique_ptr<Pending>> pending_;
  std::vector<rollout::StepOutcome> outcomes_;
  std::map<std::string, rollout::Observation> values_;
  std::optional<rollout::Moment> moment_;
  std::uint64_t mark_ = 0;
  std::optional<rollout::Command> command_;  // waits for the executor
  std::string running_;                      // "run:dual_write.backfill" while it is under way
  std::optional<engine::Progress> progress_;
  RolloutView view_;

  std::atomic<bool> stop_{false};
  std::atomic<bool> cancel_{false};
  std::vector<std::thread> threads_;
};

}  // namespace poundlock::server
