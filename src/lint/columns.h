// An ADD COLUMN taken apart into the pieces of its text, so that a rule can point at one of them and write
// the column anew without it. Pure; thread-safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lint/context.h"
#include "lint/types.h"

struct PgQuery__Constraint;

namespace poundlock::lint {

struct ColumnPiece {
  const PgQuery__Constraint* constraint = nullptr;
  schema::ByteRange range;  // in the statement's text
  std::string text;         // "DEFAULT 'x'"
};

struct AddedColumn {
  Action action;
  std::string name;         // quoted
  std::string type;         // as written, with COLLATE
  schema::ByteRange range;  // of the definition, from the name on
  schema::ByteRange type_range;
  std::vector<ColumnPiece> pieces;  // its constraints in order
  ColumnTraits traits;

  const ColumnPiece* piece(int contype) const;  // PG_QUERY__CONSTR_TYPE__...; nullptr: it has none
  // "ALTER TABLE orders ADD COLUMN status text;" and nothing else.
  std::string bare() const;
};

// Calls visit for each ADD COLUMN to a table that is not new.
void each_added_column(const Context& context, const std::function<void(const AddedColumn&)>& visit);

}  // namespace poundlock::lint
