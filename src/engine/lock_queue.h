// The lock queue, measured: a statement that waits for a strong lock behind a long transaction makes every
// later statement of the application wait behind itself. The same statements are run twice on the shadow,
// each time in a transaction that is rolled back, with traffic beside them and a long transaction in the
// way: once waiting as long as it takes, once with a short lock_timeout and retries. What refuses a
// transaction is run by itself where that can be done twice, under the session's lock_timeout.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "engine/executor.h"
#include "engine/jitter.h"
#include "engine/trace.h"
#include "ports/traffic.h"

namespace poundlock::engine {

struct QueueOptions {
  // What the application does meanwhile. Empty: a read and a write that changes nothing, of each table
  // that is locked.
  std::vector<ports::TrafficStatement> traffic;
  std::string search_path = "\"$user\", public";  // of traffic and statements, as SQL
  Millis long_transaction{1'000};                 // of the writer in the way; 0: none
  Millis lock_timeout{50};
  int sessions = 4;
  int groups_max = 8;
  Millis statement_max{20'000};  // a transaction that takes longer by itself is not run two times more
};

struct QueueReport {
  Millis longest_stall{0};                 // of a statement of the application, with our lock policy
  Millis longest_stall_without_policy{0};  // and without
  int groups = 0;                          // transactions measured
  std::uint64_t statements = 0;            // of the application, in all rounds
  std::uint64_t lock_tries = 0;            // with the policy
  std::uint64_t deadlocks = 0;             // in all rounds
  std::uint64_t failed = 0;  // statements of the application, in all rounds; not what rows answer
  std::string first_failed;  // the first of them, with its place and the server's words
  std::vector<std::string> notes;
};

// One transaction of the change. One thread.
class LockQueue {
 public:
  LockQueue(const ExecutorPorts& ports, ports::Database& shadow, QueueOptions options)
      : ports_(ports), shadow_(shadow), options_(std::move(options)), jitter_(ports.seed) {}

  // The statements are rolled back. What they lock is looked at first; where that blocks nobody, nothing is
  // measured. A statement that fails is no Error here: the caller's own run tells it.
  Status measure(Tracer& tracer, const std::string& name, const std::vector<std::string>& statements);
  const QueueReport& report() const { return report_; }

 private:
  struct Round {
    ports::TrafficReport traffic;
    std::uint64_t tries = 0;
    bool deadlock = false;
    bool unfinished = false;
  };
  // What refuses a transaction, and what takes it back so that it can be run once more.
  struct Alone {
    std::string undo;  // "": it may simply be repeated
    std::string table;
  };
  Result<std::optional<Alone>> repeatable(ports::Session& session, const std::string& sql);
  Status measure_alone(Tracer& tracer, const std::string& name, const std::string& sql);
  Status attempt_alone(ports::Session& session, const std::string& sql, const std::string& undo,
                       Millis lock_timeout, Round& round);
  // False: it could not be played, which a note tells.
  bool count(const std::string& name, bool policy, const Result<Round>& round);
  Result<Round> play(const std::vector<std::string>& statements, const std::vector<std::string>& tables,
                     Millis lock_timeout, const Alone* alone = nullptr);
  Status attempt(ports::Session& session, const std::vector<std::string>& statements, Millis lock_timeout,
                 Round& round);
  Result<std::unique_ptr<ports::Session>> long_transaction(const std::vector<std::string>& tables);
  std::vector<ports::TrafficStatement> traffic_for(const std::vector<std::string>& tables) const;

  const ExecutorPorts& ports_;
  ports::Database& shadow_;
  QueueOptions options_;
  Jitter jitter_;
  std::vector<std::string> row_locks_;  // tables of which what is being measured locks half the rows or more
  QueueReport report_;
};

}  // namespace poundlock::engine
