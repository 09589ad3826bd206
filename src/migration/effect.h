// What one statement leaves in the catalog: how to tell that it is there, and how to take it back.
// Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "migration/names.h"
#include "schema/sql.h"

struct PgQuery__ViewStmt;

namespace poundlock::migration {

struct Effect {
  // One SELECT of one boolean, without regard to search_path; "" where the catalog does not tell, because the
  // answer could be true before the statement ran: a step without a probe is told by its ledger row.
  std::string probe;
  std::vector<std::string> undo;  // "": it takes more than the catalog to bring it back
  bool undo_standalone = false;
  bool leaves_nothing = false;  // there is nothing to take back, where `undo` is empty
  std::string repair;           // removes a half-done index
  std::string repair_when;      // one SELECT of one boolean
  bool destructive = false;
};

Effect effect_of(const schema::Statement& statement, const Names& names);
Effect effect_of_create(const schema::Statement& statement, const Names& names);  // CREATE ...
Effect effect_of_alter(const schema::Statement& statement, const Names& names);   // ALTER TABLE
// CREATE OR REPLACE VIEW of one that is there. Without undo where it may add columns while other views read
// it: nothing takes a column from a view, and it cannot be dropped under them.
Effect effect_of_replaced_view(const PgQuery__ViewStmt& create, const schema::Table& before,
                               const Names& names);

}  // namespace poundlock::migration
