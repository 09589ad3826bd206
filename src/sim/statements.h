// The statements of engine and plan as the simulated server understands them. What the engine builds is
// recognised by the shortest part of its text that no other statement has, what the plan holds by the whole
// text; parameters carry the values. An unknown text is an error with the code "sim.statement".
#pragma once

#include <string>
#include <string_view>

#include "sim/server.h"

namespace poundlock::sim {

// Would this statement, sent alone and outside of a transaction, change anything?
bool changes_something(std::string_view sql);

// A statement that runs outside of a transaction broke off: an index build leaves an INVALID index.
void break_halfway(Server& server, std::string_view sql);

class Statements {
 public:
  Statements(Server& server, SimSession& session, const rollout::Plan& plan)
      : server_(server), session_(session), plan_(plan) {}
  Result<ports::Rows> run(const ports::Sql& sql);

 private:
  using Answer = std::optional<Result<ports::Rows>>;  // nullopt: not one of these
  Answer settings(const ports::Sql& sql);
  Answer ledger(const ports::Sql& sql);
  Answer probe(const ports::Sql& sql);
  Answer locks(const ports::Sql& sql);
  Answer shape(const ports::Sql& sql);
  Answer backfill(const ports::Sql& sql);
  Answer select_rows(const ports::Sql& sql);
  Answer step(const ports::Sql& sql);

  Result<ports::Rows> fence(const ports::Sql& sql);
  Result<ports::Rows> update(const ports::Sql& sql);
  Result<ports::Rows> batch(const ports::Sql& sql);
  void checkpoint(const std::string& key, std::vector<ports::Cell> cells);
  Status lock_table(const std::string& mode);
  const change::Step* owner(const std::string& sql, bool& forward) const;
  bool in_effect(const change::Step& step) const;

  Server& server_;
  SimSession& session_;
  const rollout::Plan& plan_;
};

}  // namespace poundlock::sim
