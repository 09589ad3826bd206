#include "migration/missing_table.h"

#include <fmt/format.h>

#include <span>

#include "base/suggest.h"
#include "lint/locks.h"
#include "schema/text.h"
#include "schema/tree.h"

namespace poundlock::migration {

using schema::as;
using schema::QualifiedName;
using schema::StatementKind;

std::optional<Decision> missing_table(const schema::Statement& statement, const Names& names) {
  const auto* alter = as<PgQuery__AlterTableStmt>(statement.node());
  const auto kind = statement.kind();
  const bool changes = (alter != nullptr && !alter->missing_ok) || kind == StatementKind::kCreateIndex ||
                       kind == StatementKind::kUpdate || kind == StatementKind::kDelete ||
                       kind == StatementKind::kInsert;
  if (!changes || names.catalog() == nullptr || !names.book().knows_all()) return std::nullopt;
  const auto* insert = as<PgQuery__InsertStmt>(statement.node());
  const QualifiedName written =
      insert != nullptr ? schema::name_of(*insert->relation) : lint::strongest_lock(statement).relation;
  const QualifiedName table = names.resolve(written);
  if (written.name.empty() || names.book().relation_taken(table) || table.schema.starts_with("pg_") ||
      table.schema == "information_schema")
    return std::nullopt;
  std::vector<std::string> known;
  for (const auto& one : names.catalog()->tables)
    known.push_back(written.schema.empty() ? one.name : one.qualified().to_sql());
  const std::string near(
      nearest(written.schema.empty() ? written.name : written.to_sql(), std::span<const std::string>(known)));
  Decision out;
  out.sql = statement.text();
  out.why = fmt::format("the database has no table {}, and the script makes none before", written.to_sql());
  out.choices = {near.empty() ? "plan against the database that it is meant for (--database-url)"
                              : fmt::format("did you mean {}?",
                                            written.schema.empty() ? schema::quote_identifier(near) : near)};
  return out;
}

}  // namespace poundlock::migration
