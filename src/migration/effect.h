// What one statement leaves in the catalog: how to tell that it is there, and how to take it back.
// Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "migration/names.h"
#include "schema/sql.h"

namespace poundlock::migration {

struct Effect {
  // One SELECT of one boolean, without regard to search_path; "" where the catalog does not tell, because the
  // answer could be true before the statement ran: a step without a probe is told by its ledger row.
  std::string probe;
  std::vector<std::string> undo;  // "": it takes more than the catalog to bring it back
  bool undo_standalone = false;
  std::string repair;       // removes a half-done index
  std::string repair_when;  // one SELECT of one boolean
  bool destructive = false;
};

Effect effect_of(const schema::Statement& statement, const Names& names);
Effect effect_of_alter(const schema::Statement& statement, const Names& names);  // ALTER TABLE

// "SELECT (a) AND (b)"; either may be empty.
std::string both(const std::string& a, const std::string& b);

// SELECT EXISTS of a relation, type, ... of this name.
std::string relation_probe(const schema::QualifiedName& name);

// The name that PostgreSQL would give an index that was given none: orders_status_idx.
std::string index_name(const PgQuery__Node& index_stmt);

}  // namespace poundlock::migration
