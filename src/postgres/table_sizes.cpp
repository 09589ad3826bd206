#include "postgres/table_sizes.h"

#include <algorithm>

#include "ports/cells.h"

namespace poundlock::postgres {
namespace {

constexpr int kPartitionsMax = 500;  // of a table, whose sizes are read one by one

std::string quoted(const schema::QualifiedName& name) {
  return schema::force_quote_identifier(name.schema) + "." + schema::force_quote_identifier(name.name);
}

// The catalog's estimates; of a partitioned table all of its leaves. A relation that is not there leaves
// both as they are.
Status read_size(ports::Session& session, const schema::QualifiedName& table, double& rows,
                 std::int64_t& bytes) {
  PL_TRY(const auto found,
         session.run("SELECT CASE WHEN bool_and(c.reltuples >= 0) THEN sum(c.reltuples) ELSE -1 END, "
                     "sum(pg_catalog.pg_total_relation_size(c.oid)) FROM pg_catalog.pg_class c WHERE c.oid = "
                     "pg_catalog.to_regclass($1) AND c.relkind IN ('r','m') OR c.oid IN (SELECT relid FROM "
                     "pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) WHERE isleaf)",
                     {quoted(table)}));
  if (found.rows.empty() || !found.rows[0][0]) return {};  // no such table
  rows = ports::to_double(found.rows[0][0], -1);
  bytes = ports::to_int(found.rows[0][1], -1);
  return {};
}

// Each is traced by its own name and has a size of its own: one may be empty and the next one huge.
Status add_partitions(ports::Session& session, const schema::QualifiedName& table,
                      std::vector<schema::QualifiedName>& to) {
  PL_TRY(
      const auto found,
      session.run("SELECT n.nspname, c.relname FROM pg_catalog.pg_partition_tree("
                  "pg_catalog.to_regclass($1)) t JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN "
                  "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE t.level > 0 ORDER BY t.level, "
                  "n.nspname, c.relname LIMIT $2",
                  {quoted(table), std::to_string(kPartitionsMax)}));
  for (const auto& row : found.rows) {
    schema::QualifiedName name{ports::to_text(row[0]), ports::to_text(row[1])};
    if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(std::move(name));
  }
  return {};
}

}  // namespace

Result<std::vector<ports::TableSize>> table_sizes(ports::Session& shadow, ports::Session* source,
                                                  const std::vector<schema::QualifiedName>& tables) {
  std::vector<schema::QualifiedName> all = tables;
  for (const auto& table : tables) PL_CHECK(add_partitions(shadow, table, all));
  std::vector<ports::TableSize> out;
  for (const auto& table : all) {
    ports::TableSize size;
    size.table = table;
    PL_CHECK(read_size(shadow, table, size.shadow_rows, size.shadow_bytes));
    if (source) PL_CHECK(read_size(*source, table, size.source_rows, size.source_bytes));
    out.push_back(std::move(size));
  }
  return out;
}

}  // namespace poundlock::postgres
