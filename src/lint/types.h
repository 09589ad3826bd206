// Column types and defaults as PostgreSQL treats them in ALTER TABLE: what rewrites a table and what only
// touches the catalog. Source: PostgreSQL 15, ATColumnChangeRequiresRewrite and the types' transforms; each
// line was tried on a server.
// Pure functions; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct PgQuery__ColumnDef;
struct PgQuery__Node;
struct PgQuery__TypeName;

namespace poundlock::lint {

struct TypeSpec {
  std::string name;        // the catalog's: varchar, int4, timestamptz
  std::vector<long> mods;  // 10, 2 of numeric(10, 2)
  bool array = false;
  bool operator==(const TypeSpec&) const = default;
};
TypeSpec type_spec(const PgQuery__TypeName& type);
std::optional<TypeSpec> type_spec(std::string_view sql);  // "character varying(32)"; nullopt: no type

// Can a column of type `from` become `to` by a change of the catalog alone?
bool changes_without_rewrite(const TypeSpec& from, const TypeSpec& to);

// The part of an ADD COLUMN that makes PostgreSQL do more than write the catalog.
struct ColumnTraits {
  const PgQuery__Node* default_expr = nullptr;
  bool volatile_default = false;  // each row gets its own value: rewrite
  bool generated = false;         // STORED: rewrite
  bool identity = false;          // rewrite
  bool serial = false;            // rewrite
  bool not_null = false;
  bool check = false;   // scan
  bool unique = false;  // index build, PRIMARY KEY too
  bool primary = false;
  bool references = false;
  bool rewrites() const { return volatile_default || generated || identity || serial; }
};
ColumnTraits column_traits(const PgQuery__ColumnDef& column);

// Could the expression give two rows different values? A function that is not known to be stable counts as
// volatile, as PostgreSQL marks functions unless told otherwise.
bool may_be_volatile(const PgQuery__Node* expression);

}  // namespace poundlock::lint
