// What a database's schema looks like: plain values, filled by postgres/ from the catalogs and by tests
// by hand. Also its fingerprint (staging and prod are compared by it, and a rollback proves with it that
// nothing stayed behind) and the readable differences between two of them.
// Values without behaviour; safe to copy between threads.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "schema/identifier.h"

namespace poundlock::schema {

struct Column {
  int attnum = 0;
  std::string name;
  std::string type;  // format_type(): "character varying(32)"
  bool not_null = false;
  std::optional<std::string> default_expr;  // pg_get_expr(); nullopt: no default
  std::string generated;                    // attgenerated: "" or "s" (stored, default_expr is the formula)
  std::string identity;                     // attidentity: "", "a" (always) or "d" (by default)
  std::string collation;                    // "" when it is the type's own, else the quoted qualified name
  bool operator==(const Column&) const = default;
};

struct Index {
  std::uint32_t oid = 0;
  std::string name;
  std::string definition;            // pg_get_indexdef()
  std::vector<std::string> columns;  // key columns by name, then INCLUDE columns; "" for an expression
  bool unique = false;
  bool primary = false;
  bool valid = true;      // indisvalid and indislive: false is what a failed CONCURRENTLY leaves behind
  bool ready = true;      // indisready
  std::string predicate;  // pg_get_expr(indpred); "" for a full index
  std::int64_t bytes = 0;
};

struct Constraint {
  std::uint32_t oid = 0;
  std::string name;
  char kind = 'c';                   // contype: c check, f foreign key, p primary, u unique, x exclude
  std::string definition;            // pg_get_constraintdef()
  std::vector<std::string> columns;  // the table's columns it names
  bool validated = true;             // false: NOT VALID
  std::string references;            // foreign key: the quoted qualified name of the other table
};

struct Trigger {
  std::uint32_t oid = 0;
  std::string name;
  std::string definition;  // pg_get_triggerdef()
  std::string function;    // quoted qualified name of the function it calls
  char enabled = 'O';      // pg_trigger.tgenabled: O origin, D disabled, R replica, A always
};

// A right on one column, which the table's own rights do not tell of.
struct ColumnGrant {
  std::string column;
  std::string privilege;  // SELECT, INSERT, UPDATE, REFERENCES
  std::string grantee;    // quoted, or PUBLIC; WITH GRANT OPTION behind it where it is so
};

struct Table {
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  char kind = 'r';         // relkind: r table, p partitioned, v view, m materialised view, f foreign
  char persistence = 'p';  // relpersistence: p permanent, u unlogged, t temporary
  std::string owner;
  bool is_partition = false;
  QualifiedName partition_of;  // a partition's parent
  bool inherits = false;       // parent or child by INHERITS; partitions do not count
  std::string partition_key;   // pg_get_partkeydef() of a partitioned table, else ""
  bool row_security = false;
  bool policies_apply = false;       // row security hides rows from the very role that read the catalog
  char replica_identity = 'd';       // pg_class.relreplident: d default, n nothing, f full, i index
  std::vector<std::string> options;  // reloptions: "fillfactor=90"
  std::vector<Column> columns;       // living ones, by attnum
  std::vector<Index> indexes;
  std::vector<Constraint> constraints;
  std::vector<ColumnGrant> column_grants;
  std::vector<Trigger> triggers;         // not the internal ones of foreign keys
  std::vector<std::string> primary_key;  // column names in key order; empty: the table has none
  std::string view_definition;           // pg_get_viewdef() of v and m
  double estimated_rows = -1;            // reltuples; -1: never analysed
  std::int64_t bytes = 0;                // pg_table_size()

  QualifiedName qualified() const { return {schema, name}; }
  const Column* column(std::string_view column_name) const;
  const Index* index(std::string_view index_name) const;
  const Constraint* constraint(std::string_view constraint_name) const;
  const Trigger* trigger(std::string_view trigger_name) const;
};

struct Sequence {
  std::string schema;
  std::string name;
  std::string type;  // "bigint"
  std::int64_t increment = 1;
  bool cycle = false;
  std::string owned_by;  // quoted qualified table and column, or ""
  // pg_sequence's; nullopt is the default of the type and the direction.
  std::optional<std::int64_t> min_value, max_value, start;
};

struct Function {
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  std::string arguments;   // pg_get_function_identity_arguments()
  char kind = 'f';         // pg_proc.prokind: f function, p procedure, a aggregate, w window
  std::string definition;  // pg_get_functiondef(); "" for aggregates
};

// An enum with its labels in order, a domain with its base type and checks, a composite with its columns.
struct Type {
  std::string schema;
  std::string name;
  char kind = 'e';         // pg_type.typtype: e enum, d domain, c composite, r range
  std::string definition;  // "'new', 'paid'" or "text CHECK (VALUE <> '')"
};

struct Extension {
  std::string name;
  std::string version;
};

// What else an environment has, as the server's own text: partitions with their bounds, owners, grants,
// policies, publications, rules, statistics objects, event triggers, schemas, and the roles that own or use
// any of it. Loaded on request only (CatalogFilter::whole of postgres/catalog_loader.h).
struct Part {
  std::string kind;        // "policy", "grant", "owner", "partition", ...; "other role": not used here
  std::string name;        // quoted; a partition's parent; "" where what it belongs to is name enough
  std::string of_kind;     // "table", "partitioned table", "sequence", ...; "" where it belongs to nothing
  std::string of;          // quoted and qualified
  std::string definition;  // "FOR SELECT TO app USING (...)"
};

struct Catalog {
  int server_version_num = 0;  // 150006
  std::string database;
  std::vector<Table> tables;  // also views; system schemas left out
  std::vector<Sequence> sequences;
  std::vector<Function> functions;
  std::vector<Type> types;
  std::vector<Extension> extensions;
  std::vector<Part> parts;  // empty unless asked for
  // Names of functions and types outside pg_catalog, of extensions' too: what a session that sees pg_catalog
  // alone does not find by its name alone.
  std::set<std::string, std::less<>> beyond_pg_catalog;

  // nullptr when absent. A name without a schema is looked for in `public` first, then in every schema,
  // where it must be the only one.
  const Table* table(const QualifiedName& name) const;
};

// What a fingerprint sees. The schema's meaning only: never oids, sizes, estimates or owners, and not the
// order in which things were created, so that two databases with the same schema agree.
struct Fingerprint {
  std::string text;  // one sorted line for each object; fit to be shown and to be diffed
  std::string hash;  // 32 hexadecimal digits of the text (XXH3, 128 bits)
  bool operator==(const Fingerprint& other) const { return hash == other.hash; }
};

struct FingerprintOptions {
  bool column_order = false;                // count attnum order as part of the schema (it is for SELECT *)
  std::vector<std::string> ignore_schemas;  // "poundlock": our own ledger is in prod and not in staging
};

Fingerprint fingerprint(const Catalog& catalog, const FingerprintOptions& options = {});

// Lines such as "- table public.orders: column legacy_status text NOT NULL" (only in a) and "+ ..." (only
// in b); an object that is in both and differs gives both lines. Empty: equal. At most 1,000 lines.
std::vector<std::string> difference(const Catalog& a, const Catalog& b,
                                    const FingerprintOptions& options = {});

}  // namespace poundlock::schema
