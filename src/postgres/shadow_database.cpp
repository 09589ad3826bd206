#include "postgres/shadow_database.h"

#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "ports/cells.h"
#include "ports/shadow.h"
#include "postgres/database_traits.h"
#include "postgres/pg_dump_shadow.h"

namespace poundlock::postgres {

using schema::force_quote_identifier;
using schema::quote_literal;

namespace {

constexpr Millis kPoll{50};
constexpr int kDrops = 5;
constexpr Millis kBetweenDrops{1'000};
constexpr int kCancels = 600;  // one each kPoll

// A custom setting may only be kept by a superuser (or with GRANT SET, from PostgreSQL 15 on); an ordinary
// owner of the database says the same in its comment.
constexpr std::string_view kMark = "poundlock.shadow = on";

// Cancelled at the first word of `stopped`, and again until it ends: what comes before the statement has
// begun is lost.
Status run_long(ports::Session& session, const std::string& sql, Clock& clock,
                const std::function<bool()>& stopped) {
  std::atomic<bool> done{false};
  std::thread watch([&] {
    while (!done && !(stopped && stopped())) clock.sleep(kPoll);
    for (int tries = 0; !done && tries < kCancels; ++tries) {
      session.cancel();
      clock.sleep(kPoll);
    }
  });
  auto ran = session.run(sql);
  done = true;
  watch.join();
  if (ran) return {};
  if (ran.error().sqlstate == "57014" && stopped && stopped())
    return fail(make_error(Disposition::kRetry, "check.stopped", "the copy of the database was stopped"));
  return fail(std::move(ran).error());
}

}  // namespace

const std::string_view kUserTables =
    "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN "
    "('r','p','v','m','f') "
    "AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM "
    "pg_catalog.pg_depend e WHERE "
    "e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e')";

Result<bool> is_marked(ports::Session& session, const std::string& database) {
  PL_TRY(const auto rows,
         session.run(
             "SELECT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = d.oid AND "
             "s.setrole = 0 AND 'poundlock.shadow=on' = ANY (s.setconfig)) OR coalesce("
             "pg_catalog.shobj_description(d.oid, 'pg_database') = $2, false) FROM "
             "pg_catalog.pg_database d WHERE d.datname = $1",
             {database, std::string(kMark)}));
  return !rows.rows.empty() && ports::to_bool(rows.rows[0][0]);
}

Status set_mark(ports::Session& session, const std::string& database) {
  const std::string name = force_quote_identifier(database);
  auto set = session.run(fmt::format("ALTER DATABASE {} SET poundlock.shadow = on", name));
  if (set) return {};
  if (set.error().code != "pg.privilege") return fail(std::move(set).error());
  PL_CHECK(session.run(fmt::format("COMMENT ON DATABASE {} IS {}", name, quote_literal(kMark))));
  return {};
}

Status drop_database(ports::Session& admin, const std::string& name) {
  PL_TRY(const auto version,
         admin.run("SELECT pg_catalog.current_setting('server_version_num')::int >= 130000"));
  const bool force = ports::to_bool(version.rows.at(0)[0]);  // sessions of a killed run may still be in it
  const std::string drop = "DROP DATABASE IF EXISTS " + force_quote_identifier(name);
  const auto forced = admin.run(drop + (force ? " WITH (FORCE)" : ""));
  if (forced) return {};
  if (!force || forced.error().sqlstate != "42501") return fail(forced.error());
  // FORCE minds an autovacuum worker, which an ordinary role may not end; without FORCE the server ends it.
  PL_CHECK(admin.run(
      "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = "
      "$1 AND pid <> pg_catalog.pg_backend_pid() AND usesysid IS NOT NULL AND "
      "pg_catalog.pg_has_role(usesysid, 'MEMBER')",
      {name}));
  PL_CHECK(admin.run(drop));
  return {};
}

Error stays(const std::string& database, const Error& why) {
  return make_error(Disposition::kRetry, "shadow.stays",
                    fmt::format("the database {} stays: {}", database, why.message))
      .with_hint(fmt::format("the next run takes it away, or you do: DROP DATABASE IF EXISTS {}",
                             schema::quote_identifier(database)));
}

Status drop_shadow(ports::Session& admin, const std::string& name, Clock& clock) {
  Status gone = drop_database(admin, name);
  for (int again = 1; again < kDrops && !gone && !admin.broken(); ++again) {
    if (gone.error().code == "pg.privilege") break;
    clock.sleep(kBetweenDrops);
    gone = drop_database(admin, name);
  }
  return gone ? gone : fail(stays(name, gone.error()));
}

Result<std::string> oid_of(ports::Session& session, const std::string& database) {
  PL_TRY(const auto rows,
         session.run("SELECT oid FROM pg_catalog.pg_database WHERE datname = $1", {database}));
  return rows.rows.empty() ? std::string() : ports::to_text(rows.rows[0][0]);
}

Status remove_left(ports::Session& admin, const PgDatabase& left, const PgDatabase* intent) {
  const std::string name = left.name();
  PL_TRY(
      const auto there,
      admin.run("SELECT pg_catalog.pg_get_userbyid(datdba) = current_user FROM pg_catalog.pg_database WHERE "
                "datname = $1",
                {name}));
  if (there.rows.empty()) return {};
  PL_TRY(bool ours, is_marked(admin, name));
  const bool owned = ports::to_bool(there.rows[0][0]);
  if (!ours && owned && intent) {
    PL_TRY(ours, is_marked(admin, intent->name()));
  }
  if (!ours && owned) {
    // Killed between CREATE DATABASE and the mark: empty, and owned by us.
    PL_TRY(auto inside, const_cast<PgDatabase&>(left).connect());
    PL_TRY(const auto tables, inside->run(fmt::format("SELECT count(*) FROM {}", kUserTables)));
    ours = ports::to_int(tables.rows.at(0)[0], 1) == 0;
  }
  return ours ? drop_database(admin, name) : fail(unmarked_shadow(name));
}

namespace {

Error without_room(Error error) {
  error.code = "shadow.disk_full";
  error.disposition = Disposition::kRetry;  // PostgreSQL's own word for it is an internal error
  return std::move(error).with_hint(
      "make room on the server's disk, whose log says where; or --in-place: what the statements do then "
      "stays");
}

// Nobody is let in before it has the rights of its template: until then PUBLIC may connect to a new database.
Result<std::vector<std::string>> copy_as_it_is(ports::Session& session, const std::string& name,
                                               const std::string& beside, Clock& clock,
                                               const std::function<bool()>& stopped) {
  PL_TRY(const auto traits, read_traits(session, name));
  const std::string copy = force_quote_identifier(beside);
  PL_CHECK(run_long(session,
                    fmt::format("CREATE DATABASE {} TEMPLATE {} ALLOW_CONNECTIONS false", copy,
                                force_quote_identifier(name)),
                    clock, stopped));
  const auto dress = [&]() -> Result<std::vector<std::string>> {
    PL_TRY(auto left, write_rights(session, beside, traits));
    PL_TRY(auto settings, write_settings(session, beside, traits.settings));
    left.insert(left.end(), settings.begin(), settings.end());
    PL_CHECK(set_mark(session, beside));
    PL_CHECK(session.run(fmt::format("ALTER DATABASE {} ALLOW_CONNECTIONS true", copy)));
    return left;
  };
  auto left = dress();
  if (!left) PL_CHECK(drop_database(session, beside));
  return left;
}

}  // namespace

Result<std::vector<std::string>> copy_database(ports::Session& session, const std::string& name,
                                               const PgDatabase& beside, Clock& clock,
                                               const std::function<bool()>& stopped) {
  // Between CREATE DATABASE and the mark the copy bears none. An empty database of this name, which does
  // bear it, tells the next run whose it is.
  const auto intent = beside.sibling(schema::derive_name({beside.name(), "intent"}));
  PL_CHECK(remove_left(session, beside, intent.get()));
  PL_CHECK(remove_left(session, *intent, nullptr));
  PL_CHECK(session.run(
      fmt::format("CREATE DATABASE {} TEMPLATE template0", force_quote_identifier(intent->name()))));
  PL_CHECK(set_mark(session, intent->name()));
  auto made = copy_as_it_is(session, name, beside.name(), clock, stopped);
  Status gone = drop_database(session, intent->name());
  if (gone) return made;
  // The checkpoint before it failed: a full disk may have no room for the copy's pages, which go with the
  // copy.
  if (made) made = fail(without_room(gone.error()));
  const Status copy = drop_shadow(session, beside.name(), clock);
  gone = drop_shadow(session, intent->name(), clock);
  return fail(ports::and_what_stays(ports::and_what_stays(made.error(), copy), gone));
}

// `public` belongs to the database's owner as a role from PostgreSQL 15 on; where it is somebody else's, what
// we put into it goes piece by piece.
Status empty_public(ports::Session& session) {
  PL_CHECK(session.run("CREATE SCHEMA IF NOT EXISTS public"));
  // All names first: what a CASCADE has taken along has no name any more.
  PL_TRY(const auto drops,
         session.run("SELECT pg_catalog.format('DROP %s IF EXISTS public.%I CASCADE', CASE c.relkind WHEN "
                     "'v' THEN 'VIEW' WHEN 'm' THEN "
                     "'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE "
                     "'TABLE' END, c.relname) FROM "
                     "pg_catalog.pg_class c WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND "
                     "c.relkind IN ('r','p','v','m','S','f') "
                     "AND pg_catalog.pg_get_userbyid(c.relowner) = current_user UNION ALL SELECT "
                     "pg_catalog.format('DROP ROUTINE IF EXISTS "
                     "public.%I(%s) CASCADE', p.proname, "
                     "pg_catalog.pg_get_function_identity_arguments(p.oid)) FROM pg_catalog.pg_proc p WHERE "
                     "p.pronamespace = 'public'::pg_catalog.regnamespace AND "
                     "pg_catalog.pg_get_userbyid(p.proowner) = current_user UNION ALL "
                     "SELECT pg_catalog.format('DROP TYPE IF EXISTS public.%I CASCADE', t.typname) FROM "
                     "pg_catalog.pg_type t WHERE t.typnamespace "
                     "= 'public'::pg_catalog.regnamespace AND t.typtype IN ('e','d','r') AND "
                     "pg_catalog.pg_get_userbyid(t.typowner) = "
                     "current_user"));
  for (const auto& row : drops.rows) PL_CHECK(session.run(ports::to_text(row[0])));
  return {};
}

Error unmarked_shadow(const std::string& database) {
  return make_error(Disposition::kRefused, "shadow.unmarked",
                    fmt::format("database {} does not bear the mark of a shadow", database))
      .with_hint(fmt::format("if nobody needs what is in it: COMMENT ON DATABASE {} IS '{}'",
                             schema::quote_identifier(database), kMark));
}

Result<bool> bears_shadow_mark(ports::Session& session) {
  PL_TRY(const auto name, session.run("SELECT pg_catalog.current_database()"));
  return is_marked(session, ports::to_text(name.rows.at(0)[0]));
}

}  // namespace poundlock::postgres
