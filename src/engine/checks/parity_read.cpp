// Reads one side of the comparison.
#include <fmt/format.h>

#include <algorithm>

#include "engine/checks/parity_sides.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

using ports::to_text;

// The database's own locale; from JSON, since its columns were renamed from version to version.
constexpr std::string_view kLocale =
    "SELECT pg_catalog.concat_ws(' ', d.j ->> 'datcollate', d.j ->> 'datctype', coalesce(d.j ->> "
    "'datlocale', d.j ->> 'daticulocale')), coalesce(d.j ->> 'datlocprovider', 'c'), coalesce(d.j ->> "
    "'datcollversion', '') FROM (SELECT pg_catalog.to_jsonb(x) AS j FROM pg_catalog.pg_database x WHERE "
    "x.datname = pg_catalog.current_database()) d";

// What a new session begins with: from the server's files, the database and the role. Not what this one has
// set for itself.
constexpr std::string_view kSettings =
    "SELECT s.name, s.reset_val FROM pg_catalog.pg_settings s WHERE s.name = ANY ($1::text[]) ORDER BY 1";

// search_path and the like, as they are kept for this database or for one role.
constexpr std::string_view kKept =
    "SELECT CASE WHEN s.setrole = 0 THEN '' ELSE "
    "pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(s.setrole)) END, k.entry FROM "
    "pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS k(entry) WHERE s.setdatabase IN (0, "
    "(SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())) ORDER BY "
    "s.setdatabase, 1, 2";

// A clone shares everything with its source but the moment when its server was started.
constexpr std::string_view kIdentity =
    "SELECT pg_catalog.concat_ws(' ', d.oid, d.datname, pg_catalog.pg_postmaster_start_time()) FROM "
    "pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

Status read_settings(ports::Session& session, Side& side) {
  std::vector<std::string> names;
  for (const auto& one : reviewed_settings()) names.emplace_back(one.name);
  const std::vector<ports::Sql> queries{{std::string(kLocale), {}},
                                        {std::string(kSettings), {ports::array_literal(names)}},
                                        {std::string(kKept), {}},
                                        {std::string(kIdentity), {}}};
  PL_TRY(const auto answers, session.pipeline(queries));
  side.identity = to_text(answers[3].rows.at(0)[0]);
  const auto& locale = answers[0].rows.at(0);
  side.facts.push_back({"setting", "collation", to_text(locale[0]), ""});
  side.facts.push_back({"setting", "collation provider", to_text(locale[1]), ""});
  side.facts.push_back({"setting", "collation version", to_text(locale[2]), ""});
  std::set<std::string> seen{"collation", "collation provider", "collation version"};
  for (const auto& row : answers[1].rows) {
    seen.insert(to_text(row[0]));
    side.facts.push_back({"setting", to_text(row[0]), to_text(row[1]), ""});
  }
  // Nobody misses what this version does not have yet; search_path is told in another way.
  const int major = side.catalog.server_version_num / 10'000;
  for (const auto& one : reviewed_settings())
    if (!seen.contains(std::string(one.name)) && one.since <= major) side.hidden.emplace(one.name);
  for (const auto& row : answers[2].rows) {
    const std::string entry = to_text(row[1]), role = to_text(row[0]);
    const std::string name = entry.substr(0, entry.find('='));
    // What the database keeps is among what a session begins with already.
    if (role.empty() || std::find(names.begin(), names.end(), name) == names.end()) continue;
    side.facts.push_back({"role setting", name + " of " + role, entry.substr(name.size() + 1), role});
  }
  return {};
}

Status read_all(ports::Session& session, const LoadCatalog& load, Side& side) {
  PL_TRY(side.catalog, load(session));
  // Both numbers of 9.6 and before made the major version; nothing that old is supported.
  side.facts.push_back(
      {"server version", "major", fmt::format("{}", side.catalog.server_version_num / 10'000), ""});
  PL_CHECK(read_settings(session, side));
  return read_migrations(session, side);
}

}  // namespace

Result<Side> read_side(ports::Session& session, const LoadCatalog& load) {
  // One snapshot: an object that is made meanwhile is there for all queries or for none.
  PL_CHECK(session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  // The planner takes the catalogs' functions for large, and compiling for them takes a second.
  PL_CHECK(session.run("SET LOCAL jit = off"));
  Side side;
  Status read = read_all(session, load, side);
  if (!session.broken()) {
    auto ended = session.run("ROLLBACK");
    if (read && !ended) return fail(std::move(ended).error());
  }
  if (!read) return fail(std::move(read).error());
  return side;
}

}  // namespace poundlock::engine
