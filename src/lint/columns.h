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
  std::string plain_name;   // as the catalog holds it
  std::string name;         // quoted
  std::string type;         // as written, with COLLATE
  std::string type_name;    // type_spec(): bigserial, varchar
  schema::ByteRange range;  // of the definition, from the name on
  schema::ByteRange type_range;
  std::vector<ColumnPiece> pieces;  // its constraints in order
  ColumnTraits traits;

  const ColumnPiece* piece(int contype) const;  // PG_QUERY__CONSTR_TYPE__...; nullptr: it has none
  // "ALTER TABLE orders ADD COLUMN status text;" and nothing else; a serial's type is its integer's.
  std::string bare() const;
  // The same column in whole statements of which none holds a strong lock for long: the column alone, its
  // default, a backfill (an UPDATE, to be run in batches), and each constraint without a scan under lock.
  // "" where the definition holds something that these cannot say.
  std::string in_steps() const;
};

// CHECK (c IS NOT NULL) NOT VALID, VALIDATE, SET NOT NULL, DROP: c's nulls are looked for while everybody
// works.
// `name` is the CHECK's, not quoted; "" for a derived one.
std::string not_null_in_steps(const schema::QualifiedName& table, std::string_view column,
                              std::string name = "");

// Calls visit for each ADD COLUMN to a table that is not new.
void each_added_column(const Context& context, const std::function<void(const AddedColumn&)>& visit);

}  // namespace poundlock::lint
