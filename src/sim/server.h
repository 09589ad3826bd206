// A simulated PostgreSQL server: one table of rows with a legacy and a new value, its schema, the ledger with
// its fence, sessions, transactions with rollback, locks held by others, and connections that break. It
// understands the statements that the engine and the plan's steps send (statements.cpp) and answers every
// other one with an error of the code "sim.statement". One thread; waits advance the world's clock.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ports/database.h"
#include "rollout/plan.h"
#include "sim/clock.h"
#include "sim/schema.h"

namespace poundlock::sim {

// The change's expressions, as this world computes them.
std::string up(const std::string& legacy);
std::string down(const std::string& fresh);

struct SimRow {
  int id = 0;
  std::optional<std::string> legacy, fresh;
  int locked_by = 0;  // pid; 0: nobody
};

inline constexpr int kRowsInBlock = 8;

struct LedgerRow {
  std::string rollout, step, direction, attempt;
  std::uint64_t generation = 0;
};

enum class Break {
  kNone,
  kBefore,    // the connection breaks before the server has got anything
  kMiddle,    // the server has carried out a part and rolls it back
  kAfter,     // everything is carried out, and the answer is lost
  kDeadlock,  // the server answers 40P01 and rolls back
};

struct Transaction {
  bool failed = false;
  std::uint64_t generation = 0;  // that passed the fence; 0: no fence yet
  std::optional<LedgerRow> recorded;
  std::vector<std::string> effects;  // what of the change it did, in words
  bool repeated = false;             // it ran a step whose effect was there when it began
  bool rows_changed = false;
  std::vector<std::function<void()>> undo;  // newest last
  bool holds_fence = false;
  bool holds_table = false;
};

// What one transaction, or one statement outside of a transaction, has changed for good.
struct Effect {
  int process = 0;
  std::uint64_t generation = 0;
  std::uint64_t held = 0;       // generation that the database holds at that moment
  std::string step, direction;  // of the ledger row; of a standalone step by its text
  std::vector<std::string> effects;
  bool repeated = false;
  bool in_transaction = true;
};

class Server;

class SimSession final : public ports::Session {
 public:
  SimSession(Server& server, int process, int pid) : server_(server), process_(process), pid_(pid) {}
  ~SimSession() override;
  using ports::Session::run;
  Result<ports::Rows> run(const ports::Sql& sql) override;
  Result<std::vector<ports::Rows>> pipeline(std::span<const ports::Sql> statements) override;
  std::vector<std::string> take_notices() override { return {}; }
  int backend_pid() const override { return pid_; }
  void cancel() override { cancel_ = true; }
  bool broken() const override;

 private:
  friend class Server;
  friend class Statements;
  Server& server_;
  const int process_;
  const int pid_;
  bool broken_ = false;
  bool cancel_ = false;
  std::optional<Transaction> transaction_;
  Millis lock_timeout_{0};
  TimePoint active_;          // steady; when it last did something
  std::uint64_t fenced_ = 0;  // newest generation that passed the fence in this session
  bool advisory_ = false;
};

struct ServerHooks {
  // Before a round trip of this process. Others may act meanwhile, and the process may be killed by it.
  std::function<void(int process)> before;
  // What happens to this round trip.
  std::function<Break(int process)> fate;
  std::function<bool(int process)> dead;
  std::function<bool(int process)> overtaken;  // it hangs, and a newer one works
  std::function<void(const Effect&)> committed;
  std::function<void(const std::string&)> tell;
};

// Deliberate faults of the simulated product, to show that each invariant can fail.
struct ServerMutations {
  bool no_fence = false;        // a stale generation passes
  bool loses_writes = false;    // the trigger overwrites what is written to the new side
  bool keeps_sequence = false;  // DROP SEQUENCE does nothing
  bool no_probe = false;        // probes answer false, and what is there is made again without an error
};

class Server {
 public:
  Server(WorldClock& clock, const rollout::Plan& plan, int rows);
  Server(const Server&) = delete;

  Result<std::unique_ptr<ports::Session>> connect(int process);

  // The application's side: one statement, committed at once. False: the row or the table is locked; an
  // error is what the application would get.
  Result<bool> write(int id, bool fresh_side, const std::string& legacy_value);
  Result<bool> insert(int id, bool fresh_side, const std::string& legacy_value);
  Result<std::string> read(int id, bool fresh_side) const;  // as a legacy value

  int mismatches() const;  // rows whose new side is not up(legacy); every row where a column is missing
  std::uint64_t held_generation() const;

  SimSchema schema;
  std::vector<SimRow> rows;
  ServerHooks hooks;
  ServerMutations mutations;
  TimePoint reader_until;    // somebody's long transaction holds the table's weakest lock until then
  TimePoint row_lock_until;  // and somebody's a row lock on the first block
  TimePoint synced_since;    // steady; when the trigger last began to keep the sides in step; 0: it does not
  TimePoint verified_at;     // when the newest verify was recorded
  std::uint64_t legacy_reads = 0, fresh_reads = 0;  // calls of the application, as statistics count them

 private:
  friend class SimSession;
  friend class Statements;

  Result<std::vector<ports::Rows>> round_trip(SimSession& session, std::span<const ports::Sql> statements);
  Result<ports::Rows> execute(SimSession& session, const ports::Sql& sql);
  Status commit(SimSession& session);
  void roll_back(SimSession& session);
  void disconnect(SimSession& session);
  void expire();
  bool gone(const SimSession& session) const;
  // Waits for `free` at most the session's lock_timeout, 0 for ever; kRetry pg.lock_timeout.
  Status wait_for(SimSession& session, const std::function<bool()>& free, const std::string& what);
  bool locked_by_other(const SimSession& session) const;
  void changed(SimSession& session, const std::string& effect);
  void note_sync();
  bool fills_when_off() const;
  void derive(SimRow& row, bool fresh_side);
  SimRow* row_of(int id);

  WorldClock& clock_;
  const rollout::Plan& plan_;
  std::set<SimSession*> sessions_;
  int next_pid_ = 100;
  bool ledger_ = false;
  std::map<std::string, std::uint64_t> generations_;
  std::vector<LedgerRow> ledger_rows_;
  std::map<std::string, std::vector<ports::Cell>> checkpoints_;  // rollout/step/relation
};

// One process's way to the server.
class SimDatabase final : public ports::Database {
 public:
  SimDatabase(Server& server, int process) : server_(server), process_(process) {}
  Result<std::unique_ptr<ports::Session>> connect() override { return server_.connect(process_); }
  std::string describe() const override { return "the simulated server"; }

 private:
  Server& server_;
  int process_;
};

}  // namespace poundlock::sim
