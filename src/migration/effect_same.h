// Conditions of probes by which what a statement makes is told from something else of the same name: on the
// columns of the catalog where they say it all, else on PostgreSQL's own print of an expression. Whoever has
// another one there gets PostgreSQL's "already exists", and not "there already". Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "migration/names.h"

struct PgQuery__ColumnDef;
struct PgQuery__CreateTrigStmt;
struct PgQuery__Constraint;
struct PgQuery__IndexStmt;
struct PgQuery__TypeName;
struct PgQuery__ViewStmt;

namespace poundlock::migration {

// Of the type with its length or precision; `oid` and `typmod`: SQL.
std::string same_type(std::string_view oid, std::string_view typmod, const PgQuery__TypeName& type);
// On pg_attribute a: type, and what the definition says of NOT NULL, GENERATED and DEFAULT. A column without
// a default is taken for one whose default a later statement of the script has taken away.
std::string same_column(const PgQuery__ColumnDef& column);
// On pg_index i and its pg_class x.
std::string same_index(const PgQuery__IndexStmt& index);
// On pg_constraint k of a foreign key.
std::string same_foreign_key(const PgQuery__Constraint& constraint, const Names& names);
// On pg_trigger o.
std::string same_trigger(const PgQuery__CreateTrigStmt& trigger);
// On pg_class o: the names of the columns, where the text says them. What a view reads no probe can compare:
// PostgreSQL prints it anew.
std::string same_view_columns(const PgQuery__ViewStmt& view);

}  // namespace poundlock::migration
