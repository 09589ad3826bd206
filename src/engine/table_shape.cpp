#include "engine/table_shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr double kRowsInBlockGuess = 60;  // of a table that was never analysed

// A cheap hash of one key column; text as a detour for types without a function of their own.
std::string hash_of(const KeyColumn& column) {
  const char* function = nullptr;
  if (column.type == "bigint") function = "hashint8";
  if (column.type == "integer") function = "hashint4";
  if (column.type == "smallint") function = "hashint2";
  if (column.type == "uuid") function = "uuid_hash";
  if (function != nullptr) return fmt::format("pg_catalog.{}({})", function, column.name);
  return fmt::format("pg_catalog.hashtext({}::text)", column.name);
}

}  // namespace

double TableShape::rows() const {
  double sum = 0;
  for (const auto& leaf : leaves) sum += leaf.rows;
  return sum;
}

std::int64_t TableShape::blocks() const {
  std::int64_t sum = 0;
  for (const auto& leaf : leaves) sum += leaf.blocks;
  return sum;
}

Result<TableShape> read_shape(ports::Session& session, const std::string& table,
                              const std::vector<std::string>& key) {
  TableShape shape;
  PL_TRY(const auto facts, session.run("SELECT pg_catalog.current_setting('server_version_num'), "
                                       "pg_catalog.current_setting('block_size')"));
  shape.server_version_num = static_cast<int>(ports::to_int(facts.rows.at(0)[0]));
  shape.block_bytes = std::max<std::int64_t>(1024, ports::to_int(facts.rows[0][1], 8192));
  // A plain table's partition tree is empty before PostgreSQL 13: the table itself is added by UNION.
  PL_TRY(
      const auto leaves,
      session.run("SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), "
                  "pg_catalog.pg_relation_filenode(c.oid), "
                  "pg_catalog.pg_relation_size(c.oid) / $2::bigint, c.reltuples FROM (SELECT relid FROM "
                  "pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) UNION SELECT "
                  "pg_catalog.to_regclass($1)) t "
                  "JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = "
                  "c.relnamespace WHERE c.relkind = 'r' ORDER BY c.oid",
                  {table, std::to_string(shape.block_bytes)}));
  for (const auto& r : leaves.rows) {
    Leaf leaf{ports::to_text(r[0]), ports::to_text(r[1]), ports::to_text(r[2]), ports::to_int(r[3]),
              ports::to_double(r[4], -1)};
    if (leaf.rows < 0 || (leaf.rows == 0 && leaf.blocks > 0))
      leaf.rows = static_cast<double>(leaf.blocks) * kRowsInBlockGuess;
    shape.leaves.push_back(std::move(leaf));
  }
  if (shape.leaves.empty()) {
    PL_TRY(const auto there, session.run("SELECT pg_catalog.to_regclass($1) IS NOT NULL", {table}));
    if (ports::to_bool(there.rows.at(0)[0])) return shape;  // partitioned and without partitions
    return fail(user_error("engine.no_table", fmt::format("table {} is not there any more", table)));
  }
  for (const auto& column : key) {
    PL_TRY(const auto type,
           session.run("SELECT pg_catalog.format_type(a.atttypid, NULL) FROM pg_catalog.pg_attribute a WHERE "
                       "a.attrelid = pg_catalog.to_regclass($1) AND pg_catalog.format('\"%s\"', "
                       "pg_catalog.replace(a.attname::text, '\"', '\"\"')) = $2 AND NOT a.attisdropped",
                       {table, column}));
    if (type.rows.empty())
      return fail(user_error("engine.no_column",
                             fmt::format("table {} has no key column {} any more", table, column)));
    shape.key.push_back({column, ports::to_text(type.rows[0][0])});
  }
  return shape;
}

std::string block_range(const TableShape& shape, std::int64_t from, std::int64_t to) {
  if (shape.server_version_num >= 140000) {
    return fmt::format("ctid >= '({},0)'::pg_catalog.tid AND ctid < '({},0)'::pg_catalog.tid", from, to);
  }
  const std::int64_t items = (shape.block_bytes - 24) / 28;  // MaxHeapTuplesPerPage
  return fmt::format(
      "ctid = ANY (ARRAY(SELECT pg_catalog.format('(%s,%s)', b, i)::pg_catalog.tid FROM "
      "pg_catalog.generate_series({}, {}) b, pg_catalog.generate_series(1, {}) i))",
      from, to - 1, items);
}

std::string stripe_condition(const TableShape& shape, int stripe, int stripes) {
  if (stripes <= 1) return {};
  std::string hash;
  for (const auto& column : shape.key) hash += (hash.empty() ? "" : " # ") + hash_of(column);
  if (hash.empty()) hash = "pg_catalog.hashtid(ctid)";
  return fmt::format("(({}) & 2147483647) % {} = {}", hash, stripes, stripe);
}

std::string key_text(const TableShape& shape) {
  if (shape.key.empty()) return "'ctid ' || ctid::text";
  std::string columns;
  for (const auto& column : shape.key) columns += (columns.empty() ? "" : ", ") + column.name;
  return fmt::format("ROW({})::text", columns);
}

}  // namespace poundlock::engine
