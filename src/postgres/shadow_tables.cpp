#include "postgres/shadow_tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "ports/cells.h"

namespace poundlock::postgres {
namespace {

using schema::force_quote_identifier;
using schema::QualifiedName;

constexpr std::int64_t kSmallTableBytes = 64 << 20;
constexpr std::size_t kTablesMax = 500;  // beside those given
constexpr std::size_t kFollowedMax = 3;  // tables by whose samples one is chosen
constexpr int kDepthMax = 4;             // of one sample chosen by another one

// %: an array of the names given. Views are taken apart into what they read, tables followed by their foreign
// keys, once: what those point to in turn is nobody's to join.
constexpr const char* kReached =
    "WITH RECURSIVE given AS (SELECT DISTINCT pg_catalog.to_regclass(x)::pg_catalog.oid AS oid FROM "
    "pg_catalog.unnest({0}) x), reads AS (SELECT oid, 0 AS depth FROM given WHERE oid IS NOT NULL UNION "
    "SELECT d.refobjid, r.depth + 1 FROM reads r JOIN pg_catalog.pg_class v ON v.oid = r.oid AND v.relkind "
    "IN "
    "('v', 'm') JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid AND w.ev_type = '1' JOIN "
    "pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid "
    "AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.oid WHERE r.depth < "
    "50), seen AS (SELECT oid, max(depth) AS depth FROM reads GROUP BY oid UNION ALL SELECT DISTINCT "
    "k.confrelid, -1 FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conrelid IN (SELECT oid "
    "FROM "
    "reads) AND k.confrelid NOT IN (SELECT oid FROM reads)) SELECT n.nspname, c.relname, c.relkind, EXISTS "
    "(SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a WHERE a.relid <> c.oid AND a.relid IN (SELECT "
    "oid "
    "FROM seen)), s.depth FROM seen s JOIN pg_catalog.pg_class c ON c.oid = s.oid JOIN "
    "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm') AND "
    "n.nspname "
    "NOT IN ('pg_catalog', 'information_schema') ORDER BY s.depth DESC, 1, 2 LIMIT {1}";

constexpr const char* kReferences =
    "SELECT f.nspname, c.relname, g.nspname, d.relname, (SELECT pg_catalog.string_agg("
    "pg_catalog.quote_ident(a.attname), ', ' ORDER BY x.i) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY "
    "x(n, i) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.n), (SELECT "
    "pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY x.i) FROM "
    "pg_catalog.unnest(k.confkey) WITH ORDINALITY x(n, i) JOIN pg_catalog.pg_attribute a ON a.attrelid = "
    "k.confrelid AND a.attnum = x.n) FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = "
    "k.conrelid JOIN pg_catalog.pg_namespace f ON f.oid = c.relnamespace JOIN pg_catalog.pg_class d ON d.oid "
    "= "
    "k.confrelid JOIN pg_catalog.pg_namespace g ON g.oid = d.relnamespace WHERE k.contype = 'f' AND "
    "k.conrelid "
    "<> k.confrelid AND k.conrelid IN (SELECT pg_catalog.to_regclass(x) FROM pg_catalog.unnest({0}) x) AND "
    "k.confrelid IN (SELECT pg_catalog.to_regclass(x) FROM pg_catalog.unnest({0}) x) ORDER BY k.oid";

std::string array_of(const std::vector<QualifiedName>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + schema::quote_literal(name.to_sql());
  return fmt::format("ARRAY[{}]::text[]", out);
}

std::string from_of(const schema::Catalog& catalog, const std::vector<TableReference>& references,
                    const schema::Table& table, std::uint64_t rows_max, int depth) {
  const QualifiedName self = table.qualified();
  const std::string name = force_quote_identifier(self.schema) + "." + force_quote_identifier(self.name);
  const double rows = static_cast<double>(rows_max);
  if (table.estimated_rows >= 0 && table.estimated_rows <= rows)
    return fmt::format("FROM {} r LIMIT {}", name, rows_max);
  std::string key, followed;
  std::size_t count = 0;
  for (const auto& one : references) {
    const schema::Table* other = catalog.table(one.from);
    if (depth >= kDepthMax || one.to != self || !other || count >= kFollowedMax) continue;
    if (!key.empty() && key != one.to_columns) continue;
    key = one.to_columns;
    ++count;
    followed += fmt::format("{}(SELECT {} {})", followed.empty() ? "" : " UNION ALL ", one.from_columns,
                            from_of(catalog, references, *other, rows_max, depth + 1));
  }
  std::string sample;
  // A fifth more than needed, since the estimate may be high. Whole blocks of a large table; row by row of
  // a small one, where a few blocks may well be none.
  if (table.estimated_rows > rows)
    sample = fmt::format(" TABLESAMPLE {} ({:.6f}) REPEATABLE (727277)",
                         table.bytes > kSmallTableBytes ? "SYSTEM" : "BERNOULLI",
                         std::min(100.0, 120.0 * rows / table.estimated_rows));
  // Its own sample as well: a few rows that many point to are too few to tell how long something takes.
  if (count > 0)
    return fmt::format("FROM {0} r WHERE ({1}) IN ({2} UNION ALL (SELECT {1} FROM {0} s{3} LIMIT {4}))", name,
                       key, followed, sample, rows_max);
  return fmt::format("FROM {} r{} LIMIT {}", name, sample, rows_max);
}

}  // namespace

Result<ShadowTables> shadow_tables(ports::Session& source, const std::vector<QualifiedName>& given) {
  ShadowTables out;
  out.all = given;
  if (given.empty()) return out;
  const std::size_t most = given.size() + kTablesMax;
  PL_TRY(const auto reached, source.run(fmt::format(kReached, array_of(given), most)));
  std::vector<QualifiedName> tables;
  for (const auto& row : reached.rows) {
    QualifiedName name{ports::to_text(row[0]), ports::to_text(row[1])};
    const char kind = ports::to_char(row[2], 'r');
    const bool table = kind == 'r' || kind == 'p';
    if (kind == 'm') out.refreshed.push_back(name);
    if (table && !ports::to_bool(row[3])) tables.push_back(name);
    if (std::find(given.begin(), given.end(), name) == given.end()) out.all.push_back(std::move(name));
  }
  // In the order of `all`: those of the change first.
  for (const auto& name : out.all)
    if (std::find(tables.begin(), tables.end(), name) != tables.end()) out.sampled.push_back(name);
  if (out.sampled.empty()) return out;
  PL_TRY(const auto references, source.run(fmt::format(kReferences, array_of(out.sampled))));
  for (const auto& row : references.rows)
    out.references.push_back({{ports::to_text(row[0]), ports::to_text(row[1])},
                              {ports::to_text(row[2]), ports::to_text(row[3])},
                              ports::to_text(row[4]),
                              ports::to_text(row[5])});
  return out;
}

std::string sample_from(const schema::Catalog& catalog, const std::vector<TableReference>& references,
                        const schema::Table& table, std::uint64_t rows_max) {
  return from_of(catalog, references, table, rows_max, 0);
}

}  // namespace poundlock::postgres
