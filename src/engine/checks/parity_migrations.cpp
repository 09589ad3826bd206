// What migration tools say they have run. A history is known by its columns: teams call and place them
// freely.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/checks/parity_sides.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

using ports::to_text;

constexpr int kEntriesMax = 100'000;  // of one history

struct History {
  std::string_view tool;
  std::string_view name;  // the table's; "" where its columns say enough
  std::vector<std::string_view> columns;
  bool exactly;             // it has no other column
  std::string_view select;  // object, value
};

// Checksums belong to the version: a file that was edited after it had run is another migration.
const std::array<History, 5>& histories() {
  static const std::array<History, 5> all{{
      {"flyway",
       "",
       {"installed_rank", "version", "description", "type", "script", "checksum", "success"},
       false,
       "SELECT coalesce(version, 'R') || ' ' || description, pg_catalog.concat_ws(', ', type, 'checksum ' || "
       "checksum::text, CASE WHEN NOT success THEN 'FAILED' END) FROM {} WHERE type <> 'SCHEMA' ORDER BY "
       "installed_rank DESC"},
      {"liquibase",
       "",
       {"id", "author", "filename", "orderexecuted", "exectype", "md5sum"},
       false,
       "SELECT filename || '::' || id || '::' || author, pg_catalog.concat_ws(', ', CASE exectype WHEN "
       "'RERAN' THEN 'EXECUTED' ELSE exectype END, "
       "'checksum ' || md5sum) FROM {} ORDER BY orderexecuted DESC"},
      {"alembic", "", {"version_num"}, true, "SELECT version_num, 'current' FROM {} ORDER BY 1"},
      {"rails", "schema_migrations", {"version"}, true, "SELECT version, 'run' FROM {} ORDER BY 1 DESC"},
      {"django",
       "django_migrations",
       {"app", "name", "applied"},
       false,
       "SELECT app || '.' || name, 'run' FROM {} ORDER BY id DESC"},
  }};
  return all;
}

bool fits(const History& history, const schema::Table& table) {
  if (table.kind != 'r' || (!history.name.empty() && table.name != history.name)) return false;
  if (history.exactly && table.columns.size() != history.columns.size()) return false;
  return std::all_of(history.columns.begin(), history.columns.end(),
                     [&](std::string_view column) { return table.column(column) != nullptr; });
}

// A query that is refused would end the transaction: behind a savepoint it costs a note.
Status read_one(ports::Session& session, Side& side, std::string_view tool, const std::string& table,
                const std::string& sql) {
  PL_CHECK(session.run("SAVEPOINT history"));
  const auto rows = session.run(fmt::format("{} LIMIT {}", sql, kEntriesMax));
  if (!rows) {
    if (session.broken()) return fail(rows.error());
    PL_CHECK(session.run("ROLLBACK TO SAVEPOINT history"));
    side.notes.push_back(fmt::format("{} was not read, and nothing of {}'s history is compared: {}", table,
                                     tool, rows.error().message));
    side.unread.emplace(tool);
    return {};
  }
  for (const auto& row : rows->rows)
    side.facts.push_back(
        {"migration", fmt::format("{} {}", tool, to_text(row[0])), to_text(row[1]), "", table});
  return {};
}

}  // namespace

Status read_migrations(ports::Session& session, Side& side) {
  for (const auto& table : side.catalog.tables) {
    for (const auto& history : histories()) {
      if (!fits(history, table)) continue;
      const std::string name = table.qualified().to_sql();
      PL_CHECK(read_one(session, side, history.tool, name, fmt::format(fmt::runtime(history.select), name)));
      break;
    }
  }
  // Not by to_regclass(), which raises where the role may not use the schema.
  PL_TRY(const auto there,
         session.run("SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN "
                     "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "
                     "'poundlock' AND c.relname = 'ledger')"));
  if (!ports::to_bool(there.rows.at(0).at(0))) return {};
  return read_one(
      session, side, "poundlock", "poundlock.ledger",
      "SELECT l.rollout, pg_catalog.count(*) || ' steps stand' FROM (SELECT DISTINCT ON (rollout, "
      "step) rollout, step, direction FROM poundlock.ledger ORDER BY rollout, step, id DESC) l "
      "WHERE l.direction = 'forward' GROUP BY 1 ORDER BY 1");
}

}  // namespace poundlock::engine
