#include "engine/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "engine/doctor_facts.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

using doctor::Facts;
using schema::quote_identifier;

constexpr int kOldestVersion = 140'000;
constexpr std::size_t kNamedMax = 5;  // tables that are named in one line

Capability capability(std::string id, std::string title, bool present, bool needed, std::string detail) {
  Capability out;
  out.id = std::move(id);
  out.title = std::move(title);
  out.presence = present ? Presence::kYes : Presence::kNo;
  out.needed = needed;
  out.detail = std::move(detail);
  return out;
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kNamedMax); ++i) out += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kNamedMax) out += fmt::format(" and {} more", names.size() - kNamedMax);
  return out;
}

std::string provider_of(const Facts& facts) {
  if (facts.aurora) return "aurora";
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kProviders{
      {{"rds_superuser", "rds"},
       {"alloydbsuperuser", "alloydb"},
       {"cloudsqlsuperuser", "cloudsql"},
       {"azure_pg_admin", "azure"},
       {"supabase_admin", "supabase"},
       {"neon_superuser", "neon"}}};
  for (const auto& [role, name] : kProviders)
    if (std::find(facts.provider_roles.begin(), facts.provider_roles.end(), role) !=
        facts.provider_roles.end())
      return std::string(name);
  return "plain";
}

Capability version(const Facts& facts) {
  auto out = capability("version", "PostgreSQL 14 or newer", facts.version_num >= kOldestVersion, true,
                        facts.version);
  if (out.presence == Presence::kYes) return out;
  out.lost =
      "how long a lock is waited for (pg_locks.waitstart), noticing a lost client, top-level statement "
      "counts";
  out.grants = {"-- upgrade this server to PostgreSQL 14 or newer"};
  return out;
}

Capability writable(const Facts& facts) {
  const char* detail = facts.standby     ? "this is a standby"
                       : facts.read_only ? "transactions are read-only by default"
                                         : "a primary";
  auto out =
      capability("primary", "a primary that takes writes", !facts.standby && !facts.read_only, true, detail);
  if (out.presence == Presence::kYes) return out;
  out.lost = "every step that changes something";
  out.stand_in = facts.standby ? "connect to the primary" : "";
  if (!facts.standby)
    out.grants = {fmt::format("ALTER ROLE {} IN DATABASE {} SET default_transaction_read_only = off;",
                              quote_identifier(facts.role), quote_identifier(facts.database))};
  return out;
}

// The rights of an owner come by membership in the owner's role; a superuser's tables have to change hands.
Capability ownership(const Facts& facts) {
  std::vector<std::string> foreign;
  std::vector<std::string> grants;
  for (const auto& table : facts.tables) {
    if (table.owned) continue;
    foreign.push_back(table.name.to_sql());
    const std::string grant =
        table.owner_is_superuser
            ? fmt::format("ALTER TABLE {} OWNER TO {};", table.name.to_sql(), quote_identifier(facts.role))
            : fmt::format("GRANT {} TO {};", quote_identifier(table.owner), quote_identifier(facts.role));
    if (std::find(grants.begin(), grants.end(), grant) == grants.end()) grants.push_back(grant);
  }
  auto out = capability("ownership", "the rights of the tables' owner",
                        foreign.empty() && facts.missing_tables.empty(), true, "");
  if (!facts.missing_tables.empty()) {
    out.detail = "there is no table " + listed(facts.missing_tables);
    out.lost = "the whole change";
  } else if (foreign.empty()) {
    out.detail = facts.tables.empty()
                     ? "no tables yet"
                     : fmt::format("{} table{}", facts.tables.size(), facts.tables.size() == 1 ? "" : "s");
  } else {
    out.detail = "not of " + listed(foreign);
    out.lost = "changing these tables: ALTER TABLE, triggers and indexes are the owner's";
  }
  out.grants = std::move(grants);
  return out;
}

Capability index_schema(const Facts& facts) {
  std::vector<std::string> closed;
  std::vector<std::string> grants;
  for (const auto& table : facts.tables) {
    const std::string schema = quote_identifier(table.name.schema);
    if (table.may_create || std::find(closed.begin(), closed.end(), schema) != closed.end()) continue;
    closed.push_back(schema);
    grants.push_back(
        fmt::format("GRANT USAGE, CREATE ON SCHEMA {} TO {};", schema, quote_identifier(facts.role)));
  }
  auto out = capability("schema_create", "CREATE in the tables' schemas", closed.empty(), true,
                        closed.empty() ? "" : "not in " + listed(closed));
  if (!closed.empty()) out.lost = "indexes on the new side";
  out.grants = std::move(grants);
  return out;
}

// All of it belongs to whoever runs the steps: tables are altered, functions replaced, rights granted.
Capability helper_schema(const Facts& facts) {
  const bool ours = facts.helper_schema_owned && facts.foreign_helpers.empty();
  const bool usable = facts.helper_schema ? ours : facts.may_create_schema;
  auto out = capability("helper_schema", "the schema poundlock", usable, true,
                        usable && facts.helper_schema ? "there"
                        : facts.may_create_schema     ? "will be made at the first start"
                                                      : "may not be made by this role");
  if (usable) return out;
  out.lost = "the ledger of steps and the sync functions";
  const std::string role = quote_identifier(facts.role);
  if (!facts.helper_schema) {
    out.grants = {fmt::format("CREATE SCHEMA poundlock AUTHORIZATION {};", role)};
    return out;
  }
  out.detail = "there, and not of this role";
  for (const auto& one : facts.foreign_helpers) {
    const std::string grant = one.owner_is_superuser
                                  ? fmt::format("ALTER {} OWNER TO {};", one.object, role)
                                  : fmt::format("GRANT {} TO {};", quote_identifier(one.owner), role);
    if (std::find(out.grants.begin(), out.grants.end(), grant) == out.grants.end())
      out.grants.push_back(grant);
  }
  return out;
}

Capability role(const Facts& facts) {
  return capability("role", "an ordinary role is enough", true, false,
                    facts.superuser ? facts.role + " is a superuser: more than is needed"
                                    : facts.role + " is no superuser, and need not be");
}

Capability statistics(const Facts& facts) {
  const bool present = facts.reads_all_stats || facts.superuser;
  auto out = capability("read_all_stats", "pg_read_all_stats (in pg_monitor)", present, false, "");
  if (present) return out;
  out.lost =
      "other roles' statements, sessions and replication: the reference gate, lock waits, replication lag";
  out.stand_in = "the application connecting as this very role; or waive these gates by name";
  out.grants = {fmt::format("GRANT pg_monitor TO {};", quote_identifier(facts.role))};
  return out;
}

Capability statements(const Facts& facts) {
  const bool preloaded = !facts.preloaded || facts.preloaded->find("pg_stat_statements") != std::string::npos;
  auto out = capability("pg_stat_statements", "pg_stat_statements", facts.statements_answer, false, "");
  out.lost = "the reference gate's view of statements, write amplification, SELECT * before the expand";
  out.stand_in = "catalog, functions and sessions are still searched; or waive these gates by name";
  if (!facts.statements_installed) {
    out.detail = preloaded ? "the extension is not in this database" : "neither loaded nor in this database";
    out.grants = {"CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA public;"};
  } else if (!facts.statements_answer) {
    out.detail = facts.statements_trouble;
  } else if (facts.statements_hidden > 0 && !facts.reads_all_stats && !facts.superuser) {
    out.presence = Presence::kLimited;
    out.detail = fmt::format("{} statements of other roles are hidden", facts.statements_hidden);
  } else if (facts.statements_track == "none") {
    out.presence = Presence::kNo;
    out.detail = "pg_stat_statements.track is none";
    out.grants = {fmt::format("ALTER DATABASE {} SET pg_stat_statements.track = 'top';",
                              quote_identifier(facts.database))};
  } else {
    out.detail = "track = " + facts.statements_track;
    out.lost = out.stand_in = "";
  }
  if (!facts.statements_answer && (!preloaded || facts.statements_installed))
    out.grants.push_back("-- add pg_stat_statements to shared_preload_libraries, then restart the server");
  if (!facts.statements_installed && !facts.preloaded)
    out.grants.push_back(
        "-- where shared_preload_libraries lacks pg_stat_statements: add it, restart the server");
  return out;
}

Capability tracking(const Facts& facts) {
  std::vector<std::string> off;
  if (facts.track_activities != "on") off.push_back("track_activities");
  if (facts.track_counts != "on") off.push_back("track_counts");
  auto out =
      capability("tracking", "activity and row counts", off.empty(), false,
                 off.empty() ? fmt::format("statements are shown up to {} bytes", facts.activity_query_size)
                             : "off: " + listed(off));
  if (off.empty()) return out;
  out.lost = "who waits for whom, write amplification";
  out.stand_in = "waive these gates by name";
  for (const auto& name : off)
    out.grants.push_back(
        fmt::format("ALTER DATABASE {} SET {} = on;", quote_identifier(facts.database), name));
  return out;
}

Capability replication(const Facts& facts) {
  auto out = capability(
      "replication", "replication lag is visible", facts.standbys == facts.standbys_visible, false,
      facts.standbys == 0 ? "no standby is connected"
                          : fmt::format("{} of {} standbys", facts.standbys_visible, facts.standbys));
  if (out.presence == Presence::kYes) return out;
  out.lost = "replication lag as the primary sees it, the backfill's throttle on un-replayed WAL";
  out.stand_in = "replicas named in poundlock.yaml are asked themselves";
  out.grants = {fmt::format("GRANT pg_monitor TO {};", quote_identifier(facts.role))};
  return out;
}

Capability wal(const Facts& facts) {
  auto out = capability("wal_level", "wal_level = logical", facts.wal_level == "logical", false,
                        "wal_level is " + facts.wal_level);
  if (out.presence == Presence::kYes) return out;
  out.lost = "the proof from the log that both sides change in one transaction";
  out.stand_in = "the sync trigger writes both sides in one statement; verify compares every row";
  return out;
}

Capability deadlocks(const Facts& facts) {
  auto out = capability("deadlock_timeout", "deadlock_timeout may be set", facts.deadlock_timeout_settable,
                        false, "");
  if (out.presence == Presence::kYes) return out;
  out.lost = "choosing by deadlock_timeout that the application survives a deadlock with us";
  out.stand_in = "lock_timeout, far shorter: our statement gives up before a deadlock is looked for";
  if (facts.version_num >= 150'000)
    out.grants = {
        fmt::format("GRANT SET ON PARAMETER deadlock_timeout TO {};", quote_identifier(facts.role))};
  return out;
}

Capability timeouts(const Facts& facts) {
  const bool present = facts.lock_timeout_settable && facts.statement_timeout_settable;
  auto out = capability("timeouts", "lock and statement time-outs may be set", present, true, "");
  if (!present) out.lost = "the promise that no application statement waits longer than 50 ms for us";
  return out;
}

Capability connection_check(const Facts& facts) {
  auto out = capability("connection_check", "the server notices when we are gone",
                        facts.connection_check_settable, false, "");
  if (out.presence == Presence::kYes) return out;
  out.detail = "client_connection_check_interval cannot be set";
  out.lost = "a killed poundlockd's statement ends within 100 ms";
  out.stand_in = "statement_timeout ends it; until then its fence keeps a successor out";
  return out;
}

}  // namespace

const char* to_string(Presence presence) {
  switch (presence) {
    case Presence::kYes: return "yes";
    case Presence::kLimited: return "limited";
    case Presence::kNo: return "no";
    case Presence::kUnknown: return "unknown";
  }
  return "unknown";
}

bool Examination::ok() const {
  return std::all_of(capabilities.begin(), capabilities.end(),
                     [](const Capability& one) { return !one.needed || one.presence == Presence::kYes; });
}

std::vector<std::string> Examination::grants() const {
  std::vector<std::string> out;
  for (const auto& one : capabilities) {
    if (one.presence == Presence::kYes) continue;
    for (const auto& grant : one.grants)
      if (std::find(out.begin(), out.end(), grant) == out.end()) out.push_back(grant);
  }
  return out;
}

Result<Examination> examine(ports::Session& session, const ExaminationOptions& options) {
  PL_TRY(const auto facts, doctor::read_facts(session, options));
  Examination out;
  out.database = facts.database;
  out.version = facts.version;
  out.version_num = facts.version_num;
  out.role = facts.role;
  out.provider = provider_of(facts);
  out.administrator =
      facts.provider_roles.empty() ? "a superuser" : "a member of " + facts.provider_roles.front();
  for (const auto probe : {version, writable, role, ownership, index_schema, helper_schema, timeouts,
                           statistics, statements, tracking, replication, wal, deadlocks, connection_check})
    out.capabilities.push_back(probe(facts));
  auto createdb = capability("createdb", "CREATEDB", facts.createdb, false, "");
  if (!facts.createdb) {
    createdb.lost = "a shadow that is made for the time of a dry run";
    createdb.stand_in = "a shadow that exists: shadow: {url: ...} in poundlock.yaml";
    createdb.grants = {fmt::format("ALTER ROLE {} CREATEDB;", quote_identifier(facts.role))};
  }
  out.capabilities.push_back(std::move(createdb));
  return out;
}

Capability examine_replicas(const std::vector<Reached>& replicas) {
  std::vector<std::string> troubles;
  for (const auto& one : replicas) {
    if (!one.session) {
      troubles.push_back(fmt::format("{}: {}", one.name, one.trouble));
      continue;
    }
    const auto rows = one.session->run("SELECT pg_is_in_recovery()");
    if (!rows || rows->rows.empty()) {
      troubles.push_back(fmt::format("{}: {}", one.name, rows ? "no answer" : rows.error().message));
    } else if (!ports::to_bool(rows->rows.front()[0])) {
      troubles.push_back(one.name + ": is no standby");
    }
  }
  auto out = capability("replicas", "declared replicas answer", troubles.empty(), false,
                        replicas.empty()   ? "none is declared"
                        : troubles.empty() ? fmt::format("{} of {}", replicas.size(), replicas.size())
                                           : listed(troubles));
  if (troubles.empty()) return out;
  out.lost = "the replica's own replay time, and long readers there that a step would conflict with";
  out.stand_in = "pg_stat_replication of the primary";
  return out;
}

Capability examine_shadow(ShadowKind kind, const std::optional<Reached>& given,
                          const Examination& examination) {
  auto out = capability("shadow", "a shadow for dry run and rehearsal", false, false, "");
  out.lost = "dry-run times, lock contention, comparison of paths, the rehearsal";
  out.stand_in = "waive these gates by name";
  if (kind == ShadowKind::kNone) {
    out.detail = "none is configured";
    out.stand_in = "write `shadow: {create: true}` into poundlock.yaml, or waive these gates by name";
    return out;
  }
  if (kind == ShadowKind::kCommanded) {
    out.presence = Presence::kYes;
    out.detail = "is made by a command when it is needed, and was not tried now";
    out.lost = out.stand_in = "";
    return out;
  }
  if (kind == ShadowKind::kMade) {
    const auto createdb = std::find_if(examination.capabilities.begin(), examination.capabilities.end(),
                                       [](const Capability& one) { return one.id == "createdb"; });
    const bool may = createdb != examination.capabilities.end() && createdb->presence == Presence::kYes;
    out.detail = may ? "is made when it is needed" : "cannot be made without CREATEDB";
    if (may) out.presence = Presence::kYes, out.lost = out.stand_in = "";
    return out;
  }
  if (!given || !given->session) {
    out.detail = given ? fmt::format("{}: {}", given->name, given->trouble) : "cannot be reached";
    return out;
  }
  const auto rows = given->session->run(
      "SELECT EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setdatabase = d.oid AND s.setrole = 0 "
      "AND 'poundlock.shadow=on' = ANY (s.setconfig)) "
      "OR COALESCE(shobj_description(d.oid, 'pg_database') = 'poundlock.shadow = on', false), "
      "quote_ident(d.datname) FROM pg_database d WHERE d.datname = current_database()");
  if (!rows || rows->rows.empty()) {
    out.detail = given->name + " does not answer";
    return out;
  }
  if (ports::to_bool(rows->rows.front()[0])) {
    out.presence = Presence::kYes;
    out.detail = given->name + " bears the mark";
    out.lost = out.stand_in = "";
    return out;
  }
  out.detail = given->name + " does not bear the mark, and nothing runs there without it";
  out.grants = {
      fmt::format("ALTER DATABASE {} SET poundlock.shadow = on;  -- only if it is a copy that may be changed",
                  ports::to_text(rows->rows.front()[1]))};
  return out;
}

}  // namespace poundlock::engine
