#include "postgres/shadow_statistics.h"

#include <fmt/format.h>

#include <optional>
#include <span>

#include "ports/cells.h"

namespace poundlock::postgres {
namespace {

constexpr int kRestores = 180'000;  // from here on there are functions that write statistics
constexpr std::size_t kRelationsMax = 10'000;
constexpr int kForgetValues = 4;  // $1 to $4 of a column's

// $1: the table.
constexpr const char* kRelations =
    "WITH t AS (SELECT pg_catalog.to_regclass($1)::pg_catalog.oid AS oid UNION SELECT relid FROM "
    "pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1))) SELECT n.nspname, c.relname, c.reltuples, "
    "CASE WHEN c.relpages > 0 THEN c.relallvisible::float8 / c.relpages ELSE 0 END FROM "
    "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.reltuples >= 0 "
    "AND (c.oid IN (SELECT oid FROM t) OR c.oid IN (SELECT indexrelid FROM pg_catalog.pg_index WHERE "
    "indrelid IN (SELECT oid FROM t)))";

constexpr const char* kColumns =
    "SELECT attname, inherited, null_frac, avg_width, n_distinct, most_common_vals::text, most_common_freqs, "
    "histogram_bounds::text, correlation, most_common_elems IS NOT NULL OR elem_count_histogram IS NOT NULL "
    "FROM pg_catalog.pg_stats WHERE schemaname = $1 AND tablename = $2";

// $1, $2: name. $3: rows, $4: visible share.
constexpr const char* kWriteRelation =
    "UPDATE pg_catalog.pg_class c SET reltuples = $3::float8::float4, relpages = p.pages, relallvisible = "
    "pg_catalog.floor(p.pages * $4::float8) FROM (SELECT o.oid, pg_catalog.pg_relation_size(o.oid) / "
    "pg_catalog.current_setting('block_size')::int8 AS pages FROM pg_catalog.pg_class o JOIN "
    "pg_catalog.pg_namespace n ON n.oid = o.relnamespace WHERE n.nspname = $1 AND o.relname = $2) p WHERE "
    "c.oid = p.oid";
constexpr const char* kRestoreRelation =
    "SELECT pg_catalog.pg_restore_relation_stats('schemaname', $1::text, 'relname', $2::text, 'reltuples', "
    "$3::float8::float4, 'relpages', p.pages::int4, 'relallvisible', pg_catalog.floor(p.pages * "
    "$4::float8)::int4) FROM (SELECT pg_catalog.pg_relation_size(o.oid) / "
    "pg_catalog.current_setting('block_size')::int8 AS pages FROM pg_catalog.pg_class o JOIN "
    "pg_catalog.pg_namespace n ON n.oid = o.relnamespace WHERE n.nspname = $1 AND o.relname = $2) p";

// $1, $2: name, then the columns of kColumns. A column that is not there answers no row.
constexpr const char* kRestoreColumn =
    "SELECT pg_catalog.pg_restore_attribute_stats('schemaname', $1::text, 'relname', $2::text, 'attname', "
    "a.attname::text, 'inherited', $4::bool, 'null_frac', $5::float4, 'avg_width', $6::int4, 'n_distinct', "
    "$7::float4, 'most_common_vals', $8::text, 'most_common_freqs', $9::float4[], 'histogram_bounds', "
    "$10::text, 'correlation', $11::float4) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON "
    "c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND "
    "c.relname = $2 AND a.attname = $3 AND NOT a.attisdropped";

// The same by hand: one slot each for the frequent values, the histogram and the correlation, with the
// operators by which ANALYZE would have sorted them: of the type's default btree class.
constexpr const char* kColumnHere =
    "WITH a AS (SELECT a.attrelid, a.attnum, a.atttypid, a.attcollation, coalesce(nullif(t.typbasetype, 0), "
    "t.oid) AS base FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN "
    "pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 AND NOT a.attisdropped) ";
// Slots that are none of these three: elements of arrays and of tsvector, bounds and lengths of ranges. Their
// values cannot be read back into a slot, and without them the planner is worse off than with the sample's.
constexpr const char* kOtherSlots =
    "SELECT FROM a JOIN pg_catalog.pg_type b ON b.oid = a.base LEFT JOIN pg_catalog.pg_statistic s ON "
    "s.starelid = a.attrelid AND s.staattnum = a.attnum AND s.stainherit = $4::bool WHERE b.typtype IN ('r', "
    "'m') OR greatest(s.stakind1, s.stakind2, s.stakind3, s.stakind4, s.stakind5) > 3";
constexpr const char* kForgetColumn =
    "DELETE FROM pg_catalog.pg_statistic s USING a WHERE s.starelid = a.attrelid AND s.staattnum = a.attnum "
    "AND s.stainherit = $4::bool";
constexpr const char* kWriteColumn =
    ", "
    "class AS (SELECT a.*, o.opcfamily, o.opcintype FROM a JOIN "
    "pg_catalog.pg_type t ON t.oid = a.base LEFT JOIN pg_catalog.pg_opclass o ON o.opcdefault AND "
    "o.opcmethod "
    "= 403 AND o.opcintype = CASE WHEN t.oid = 'pg_catalog.varchar'::pg_catalog.regtype THEN "
    "'pg_catalog.text'::pg_catalog.regtype WHEN t.oid = 'pg_catalog.cidr'::pg_catalog.regtype THEN "
    "'pg_catalog.inet'::pg_catalog.regtype WHEN t.typtype = 'e' THEN "
    "'pg_catalog.anyenum'::pg_catalog.regtype WHEN t.typtype = 'r' THEN "
    "'pg_catalog.anyrange'::pg_catalog.regtype WHEN t.typtype = 'c' THEN "
    "'pg_catalog.record'::pg_catalog.regtype WHEN t.typcategory = 'A' AND t.typlen = -1 THEN "
    "'pg_catalog.anyarray'::pg_catalog.regtype ELSE t.oid END), op AS (SELECT class.*, (SELECT amopopr FROM "
    "pg_catalog.pg_amop WHERE amopfamily = opcfamily AND amoplefttype = opcintype AND amoprighttype = "
    "opcintype AND amopstrategy = 3) AS eq, (SELECT amopopr FROM pg_catalog.pg_amop WHERE amopfamily = "
    "opcfamily AND amoplefttype = opcintype AND amoprighttype = opcintype AND amopstrategy = 1) AS lt FROM "
    "class) INSERT INTO pg_catalog.pg_statistic (starelid, staattnum, stainherit, stanullfrac, stawidth, "
    "stadistinct, stakind1, stakind2, stakind3, stakind4, stakind5, staop1, staop2, staop3, staop4, staop5, "
    "stacoll1, stacoll2, stacoll3, stacoll4, stacoll5, stanumbers1, stanumbers3, stavalues1, stavalues2) "
    "SELECT attrelid, attnum, $4::bool, $5::float4, $6::int4, $7::float4, CASE WHEN eq IS NULL OR $8::text "
    "IS "
    "NULL THEN 0 ELSE 1 END, CASE WHEN lt IS NULL OR $10::text IS NULL THEN 0 ELSE 2 END, CASE WHEN lt IS "
    "NULL OR $11::float4 IS NULL THEN 0 ELSE 3 END, 0, 0, coalesce(eq, 0), coalesce(lt, 0), coalesce(lt, 0), "
    "0, 0, attcollation, attcollation, attcollation, 0, 0, $9::float4[], ARRAY[$11::float4], "
    "pg_catalog.array_in(pg_catalog.textout($8::text), atttypid, -1), "
    "pg_catalog.array_in(pg_catalog.textout($10::text), atttypid, -1) FROM op";

// The three statements of a column, prepared: of hundreds of partitions with many columns each, planning them
// anew takes several times as long as what they do.
class ColumnStatements {
 public:
  explicit ColumnStatements(ports::Session& session) : session_(session) {}
  ~ColumnStatements() {
    for (const char* name : prepared_) (void)session_.run(fmt::format("DEALLOCATE {}", name));
  }
  Status prepare() {
    const std::string here = kColumnHere;
    PL_CHECK(prepare_one("poundlock_slots", "text, text, text, bool", here + kOtherSlots));
    PL_CHECK(prepare_one("poundlock_forget", "text, text, text, bool", here + kForgetColumn));
    return prepare_one("poundlock_write",
                       "text, text, text, bool, float4, int4, float4, text, float4[], text, float4",
                       here + kWriteColumn);
  }
  Result<ports::Rows> execute(const char* name, std::span<const ports::Cell> values) {
    std::string words;
    for (const auto& one : values)
      words += (words.empty() ? "" : ", ") + (one ? schema::quote_literal(*one) : "NULL");
    return session_.run(fmt::format("EXECUTE {}({})", name, words));
  }

 private:
  Status prepare_one(const char* name, const char* types, const std::string& sql) {
    PL_CHECK(session_.run(fmt::format("PREPARE {}({}) AS {}", name, types, sql)));
    prepared_.push_back(name);
    return {};
  }

  ports::Session& session_;
  std::vector<const char*> prepared_;
};

// Whether it was written; one that is not here any more is not.
Result<bool> write_column(ports::Session& shadow, ColumnStatements* statements,
                          std::vector<ports::Cell> values, bool elements, std::vector<std::string>& left) {
  const std::string name = fmt::format("{}.{}", ports::to_text(values.at(1)), ports::to_text(values.at(2)));
  if (!statements) {
    PL_TRY(const auto restored, shadow.run(kRestoreColumn, std::move(values)));
    const bool all = !restored.rows.empty() && ports::to_bool(restored.rows[0][0]);
    if (!all && !restored.rows.empty()) left.push_back(name);
    return all;
  }
  const std::span<const ports::Cell> which(values.data(), kForgetValues);
  PL_TRY(const auto other, statements->execute("poundlock_slots", which));
  if (elements || !other.rows.empty()) {
    left.push_back(name);
    return false;
  }
  PL_CHECK(statements->execute("poundlock_forget", which));
  PL_TRY(const auto written, statements->execute("poundlock_write", values));
  return written.affected > 0;
}

Status write_relation(ports::Session& shadow, ColumnStatements* statements, const RelationStatistics& one,
                      bool rows, StatisticsWritten& out) {
  const bool restores = statements == nullptr;
  const ports::Cell schema = one.name.schema, name = one.name.name;
  if (rows) {
    PL_TRY(const auto done,
           shadow.run(restores ? kRestoreRelation : kWriteRelation,
                      {schema, name, fmt::format("{}", one.rows), fmt::format("{}", one.visible)}));
    if (restores && !done.rows.empty() && !ports::to_bool(done.rows[0][0]))
      out.left.push_back("the number of rows of " + one.name.name);
  }
  if (!one.columns.empty()) ++out.tables;
  for (const auto& column : one.columns) {
    std::vector<ports::Cell> values{schema, name};
    values.insert(values.end(), column.begin(), column.end() - 1);
    const bool elements = ports::to_bool(column.back());
    PL_TRY(const bool written, write_column(shadow, statements, std::move(values), elements, out.left));
    if (written) ++out.columns;
  }
  return {};
}

}  // namespace

Result<std::vector<RelationStatistics>> read_statistics(ports::Session& source,
                                                        const std::vector<schema::QualifiedName>& tables) {
  std::vector<RelationStatistics> out;
  for (const auto& table : tables) {
    PL_TRY(const auto relations, source.run(kRelations, {table.to_sql()}));
    for (const auto& row : relations.rows) {
      if (out.size() >= kRelationsMax) return out;
      RelationStatistics one;
      one.name = {ports::to_text(row[0]), ports::to_text(row[1])};
      one.rows = ports::to_double(row[2]);
      one.visible = ports::to_double(row[3]);
      PL_TRY(auto columns, source.run(kColumns, {one.name.schema, one.name.name}));
      one.columns = std::move(columns.rows);
      out.push_back(std::move(one));
    }
  }
  return out;
}

Result<std::vector<std::string>> extended_statistics(ports::Session& source,
                                                     const std::vector<schema::QualifiedName>& tables) {
  std::vector<std::string> out;
  for (const auto& table : tables) {
    PL_TRY(const auto found,
           source.run("SELECT n.nspname, x.stxname FROM pg_catalog.pg_statistic_ext x JOIN "
                      "pg_catalog.pg_namespace n ON n.oid = x.stxnamespace WHERE x.stxrelid = "
                      "pg_catalog.to_regclass($1) OR x.stxrelid IN (SELECT relid FROM "
                      "pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1))) ORDER BY 1, 2 LIMIT $2",
                      {table.to_sql(), std::to_string(kRelationsMax)}));
    for (const auto& row : found.rows)
      out.push_back(schema::QualifiedName{ports::to_text(row[0]), ports::to_text(row[1])}.to_sql());
  }
  return out;
}

Result<StatisticsWritten> write_statistics(ports::Session& shadow,
                                           const std::vector<RelationStatistics>& statistics, bool rows) {
  StatisticsWritten out;
  PL_TRY(const auto version, shadow.run("SELECT pg_catalog.current_setting('server_version_num')"));
  const bool restores = ports::to_int(version.rows.at(0)[0]) >= kRestores;
  std::optional<ColumnStatements> statements;
  if (!restores) PL_CHECK(statements.emplace(shadow).prepare());
  PL_CHECK(shadow.run("SAVEPOINT poundlock_statistics"));
  for (const auto& one : statistics) {
    const Status written = write_relation(shadow, statements ? &*statements : nullptr, one, rows, out);
    if (written) continue;
    if (shadow.broken()) return fail(written.error());
    PL_CHECK(shadow.run("ROLLBACK TO SAVEPOINT poundlock_statistics"));
    const bool right = written.error().sqlstate == "42501";
    return StatisticsWritten{0,
                             0,
                             {},
                             right && !restores
                                 ? "before PostgreSQL 18 that takes a superuser of the shadow"
                                 : fmt::format("{}: {}", one.name.to_sql(), written.error().message)};
  }
  PL_CHECK(shadow.run("RELEASE SAVEPOINT poundlock_statistics"));
  return out;
}

}  // namespace poundlock::postgres
