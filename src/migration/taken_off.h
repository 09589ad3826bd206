// What protects rows (a trigger, constraint, index, rule, policy, row security, NOT NULL, default), and is
// taken off and put back by one script. In its author's transaction nobody sees the time in between; as steps
// of their own live traffic would write without it, and a stop in the middle would leave the database so.
// Pure; thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "migration/names.h"
#include "schema/sql.h"

namespace poundlock::migration {

struct Protection {
  enum class Kind { kTrigger, kRule, kPolicy, kRowSecurity, kNotNull, kDefault, kConstraint, kIndex };
  Kind kind = Kind::kTrigger;
  schema::QualifiedName table;       // resolved; of an index the index itself
  std::string name;                  // "" for all triggers of the table
  char type = 0;                     // of a constraint as schema::Constraint::kind; 0: not known
  std::vector<std::string> columns;  // of a constraint; empty where they are not known
  bool maybe = false;                // taken off only IF EXISTS
};
std::string to_text(const Protection& one);  // "trigger touch of sales.orders"

// Statements by their index in the script.
struct TakenOff {
  Protection what;
  std::size_t off = 0;
  std::size_t on = 0;
};
struct Span {
  std::size_t first = 0;
  std::size_t last = 0;
  std::vector<TakenOff> pairs;     // in the order of `off`
  std::vector<std::size_t> about;  // those between, both included, that name a table of the pairs
};

// By the first statement of each; they do not overlap. `names` as they are before the script.
std::map<std::size_t, Span> taken_off(const schema::Script& script, const Names& names);

}  // namespace poundlock::migration
