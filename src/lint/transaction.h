// What the statements of a script leave behind for those after them: the open transaction and the time-outs
// in force. Used by lint() alone; one script, one thread.
#pragma once

#include <string>
#include <vector>

#include "lint/context.h"

namespace poundlock::lint {

class ScriptState {
 public:
  explicit ScriptState(const Options& options);

  void fill(Context& context) const;  // the state before the next statement
  void after(const schema::Statement& statement);

 private:
  struct Timeout {
    bool in_force = false;
    bool own = false;  // set by the script
  };
  struct Timeouts {
    Timeout lock, statement;
  };
  void set(const schema::Statement& statement);
  void set_config(const schema::Statement& statement);
  void assign(std::string_view name, bool in_force, bool local);
  void end_transaction(bool rolled_back, bool chained);
  void savepoint(const schema::Statement& statement);

  const bool wrapped_;  // the runner's own transaction around the script
  bool begun_ = false;
  std::vector<const schema::Statement*> transaction_;
  Timeouts session_;   // survives the transaction
  Timeouts current_;   // what holds now: SET LOCAL too
  Timeouts at_begin_;  // a ROLLBACK takes a SET back
  struct Savepoint {
    std::string name;
    Timeouts session, current;
  };
  std::vector<Savepoint> savepoints_;  // of the open transaction
};

}  // namespace poundlock::lint
