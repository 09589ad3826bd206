// The application in the simulated world: instances that receive flag snapshots with a delay, evaluate them
// with the real evaluator, read and write rows on the side that they are told, and report. Every
// acknowledged write is kept in a journal; every read is compared with it.
// It is also the flag publisher and the source of metrics. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "flag/snapshot.h"
#include "ports/flag_publisher.h"
#include "ports/metrics_source.h"
#include "rollout/plan.h"
#include "sim/clock.h"
#include "sim/random.h"
#include "sim/server.h"

namespace poundlock::sim {

// The published flags, as durable as the store.
class Flags {
 public:
  Result<flag::Revision> publish(std::string_view flags_json);
  const std::string& current() const { return current_; }  // as it was commanded
  flag::Revision revision() const { return revision_; }
  std::shared_ptr<const flag::Snapshot> snapshot() const { return snapshot_; }

  bool stuck = false;  // a deliberate fault: what is published does not arrive

 private:
  std::string current_;
  flag::Revision revision_{1, 0};
  std::shared_ptr<const flag::Snapshot> snapshot_;
};

struct Instance {
  std::string name;
  std::string build = "old";
  bool legacy_path = true;
  bool reported = true;  // since the source of metrics began anew
  flag::Revision applied;
  std::shared_ptr<const flag::Snapshot> snapshot;
  TimePoint silent_until;  // its stream is cut
  TimePoint due;           // when the newest revision arrives
};

struct ApplicationFault {
  TimePoint until;  // steady
  bool slow = false;
  bool failing = false;
};

class Application {
 public:
  // `broken` hears what an application must never meet: an error that the change caused, or a wrong value.
  Application(WorldClock& clock, Server& server, Flags& flags, const rollout::Plan& plan, Random random,
              std::function<void(const std::string& invariant, const std::string& what)> broken);

  void passed(Millis by);     // works on while time goes by
  void metrics_began_anew();  // the server that collected them was restarted
  // Replaces one instance by a build that only knows the new side, or by one that knows both.
  void deploy(bool legacy_path);
  void silence(Millis by);  // one instance's stream is cut
  void restart_one();

  rollout::AppWindow window(std::uint64_t mark);
  double share_on_new() const;   // of users, as instances see it now
  bool exclusion_leaks() const;  // an excluded user is given the new side by the published flags
  bool everybody_applied() const;
  const std::map<int, std::string>& journal() const { return journal_; }

  ApplicationFault fault;

 private:
  struct SideTotals {
    std::uint64_t attempts = 0, errors = 0, fallbacks = 0, user_errors = 0;
    Histogram latency;
  };
  void deliver();
  void work(Instance& instance);
  void read(int user, bool fresh);
  void write(int user, bool fresh);
  bool on_new(const flag::Snapshot* snapshot, int user) const;
  void count(int user, bool is_write, bool fresh, std::uint64_t errors, std::uint64_t fallbacks);

  WorldClock& clock_;
  Server& server_;
  Flags& flags_;
  const rollout::Plan& plan_;
  Random random_;
  std::function<void(const std::string&, const std::string&)> broken_;
  std::vector<Instance> instances_;
  std::map<int, std::string> journal_;
  int next_row_ = 0;
  int next_instance_ = 0;
  std::int64_t owed_ms_ = 0;
  std::uint64_t mark_ = 0;
  TimePoint since_;
  std::map<std::pair<bool, bool>, SideTotals> totals_;  // write?, new side?
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> contexts_;
  std::uint64_t trips_ = 0;
};

}  // namespace poundlock::sim
