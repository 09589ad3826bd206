#include "engine/boundaries.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>

#include "engine/boundary_rollouts.h"
#include "engine/ledger.h"
#include "ports/cells.h"
#include "schema/sql.h"
#include "schema/tree.h"

namespace poundlock::engine {
namespace {

using ports::to_bool;
using ports::to_text;

constexpr int kShadowsMax = 8;             // names that postgres/pg_dump_shadow gives
constexpr std::size_t kSchemaLines = 200;  // of a schema that is not as recorded

// Whose backend builds the index right now; its progress hides the table from other roles, its locks do not.
constexpr const char* kBuilding =
    "EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.pid <> "
    "pg_catalog.pg_backend_pid() "
    "AND (p.relid = i.indrelid OR EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = p.pid AND "
    "l.relation "
    "= i.indrelid)))";

// What is known to be made by us: from the ledger's notes, the plan's steps, an SQL file.
struct Made {
  MadeIndex index;
  std::string rollout;
};

std::vector<Made> made_by_us(const KnownRollouts& known, const BoundaryOptions& options) {
  std::vector<Made> out;
  const auto add = [&](const std::vector<std::string>& sql, const std::string& rollout) {
    for (auto& index : indexes_made_by(sql)) out.push_back({std::move(index), rollout});
  };
  for (const auto& [name, rollout] : known)
    for (const auto& step : rollout.begun) add(step.sql, name);
  for (const auto& step : options.steps) add(step.sql, options.file.empty() ? options.rollout : "");
  add(options.statements, "");
  return out;
}

// REINDEX CONCURRENTLY builds idx_ccnew beside idx, and leaves the old one as idx_ccold.
bool is_same(const MadeIndex& made, const std::string& table, const std::string& name) {
  if (made.table.name != table) return false;
  return name == made.name || name.starts_with(made.name + "_ccnew") ||
         name.starts_with(made.name + "_ccold");
}

Status find_indexes(ports::Session& session, const KnownRollouts& known, const BoundaryOptions& options,
                    std::vector<Finding>& out) {
  PL_TRY(
      const auto rows,
      session.run(fmt::format(
          "SELECT n.nspname, c.relname, t.relname, tn.nspname, c.relkind = 'I', {}, i.indisunique AND "
          "i.indisready, c.oid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = "
          "i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_class t "
          "ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace WHERE NOT "
          "(i.indisvalid AND i.indisready AND i.indislive) AND n.nspname !~ '^pg_temp' ORDER BY 1, 2",
          kBuilding)));
  const auto made = made_by_us(known, options);
  for (const auto& row : rows.rows) {
    const schema::QualifiedName name{to_text(row[0]), to_text(row[1])};
    const std::string table = to_text(row[2]), table_schema = to_text(row[3]);
    Finding one{"index", name.to_sql(), "", "", true, {}};
    one.detail = "INVALID: half-built by a CONCURRENTLY that did not come to its end";
    if (to_bool(row[6])) one.detail += "; writers still pay for it, and it still refuses duplicates";
    const auto ours = std::find_if(made.begin(), made.end(), [&](const Made& each) {
      return is_same(each.index, table, name.name) &&
             (each.index.table.schema.empty() || each.index.table.schema == table_schema);
    });
    const bool vouched =
        std::find(options.indexes.begin(), options.indexes.end(), name) != options.indexes.end();
    if (ours != made.end()) one.rollout = ours->rollout;
    const auto rollout = known.find(one.rollout);
    if (to_bool(row[5]) || (rollout != known.end() && rollout->second.worked_on)) {
      one.partial = false;
      one.detail = "a session is building it";
    } else if (to_bool(row[4])) {
      one.detail = "INVALID: not every partition has its index attached";
      one.partial = ours != made.end();
    } else if (ours != made.end() || vouched) {
      one.repair.push_back("DROP INDEX CONCURRENTLY IF EXISTS " + name.to_sql());
      one.guard = fmt::format(
          "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indexrelid = {} AND NOT "
          "(i.indisvalid AND i.indisready AND i.indislive) AND NOT {})",
          to_text(row[7]), kBuilding);
    } else {
      one.detail += fmt::format(
          "; nothing says that it is ours: --index '{}' to vouch for it, or DROP INDEX "
          "CONCURRENTLY {}",
          name.to_sql(), name.to_sql());
    }
    out.push_back(std::move(one));
  }
  return {};
}

// ADD CONSTRAINT ... NOT VALID in these statements: the same name on the same table, not one that is like it.
bool adds_not_valid(const std::vector<std::string>& statements, const schema::QualifiedName& table,
                    const std::string& name) {
  for (const auto& sql : statements) {
    const auto script = schema::parse_script(sql);
    if (!script) continue;
    for (const auto& statement : script->statements) {
      const auto* alter = schema::as<PgQuery__AlterTableStmt>(statement.node());
      if (alter == nullptr || alter->relation == nullptr) continue;
      const auto altered = schema::name_of(*alter->relation);
      if (altered.name != table.name || (!altered.schema.empty() && altered.schema != table.schema)) continue;
      for (std::size_t i = 0; i < alter->n_cmds; ++i) {
        const auto* command = schema::as<PgQuery__AlterTableCmd>(alter->cmds[i]);
        const auto* added = command == nullptr ? nullptr : schema::as<PgQuery__Constraint>(command->def);
        if (added != nullptr && added->skip_validation && schema::text_of(added->conname) == name)
          return true;
      }
    }
  }
  return false;
}

// Constraints are added NOT VALID and validated by a later step: partial only once their rollout is over.
Status find_constraints(ports::Session& session, const KnownRollouts& known, const BoundaryOptions& options,
                        std::vector<Finding>& out) {
  PL_TRY(
      const auto rows,
      session.run("SELECT pg_catalog.format('%I on %s', k.conname, k.conrelid::regclass), k.conname, "
                  "c.relname, pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', "
                  "k.conrelid::regclass, k.conname), n.nspname, k.oid FROM pg_catalog.pg_constraint k "
                  "JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON "
                  "n.oid = c.relnamespace WHERE NOT k.convalidated AND k.contype IN ('c', 'f') ORDER BY 1"));
  const auto rollout = known.find(options.rollout);
  const bool over = options.file.empty() && (rollout == known.end() || rollout->second.over());
  for (const auto& row : rows.rows) {
    const schema::QualifiedName table{to_text(row[4]), to_text(row[2])};
    const bool ours = std::any_of(options.steps.begin(), options.steps.end(), [&](const change::Step& step) {
      return adds_not_valid(step.sql, table, to_text(row[1]));
    });
    Finding one{"constraint", to_text(row[0]),
                "",           ours && options.file.empty() ? options.rollout : "",
                ours && over, {}};
    one.detail = !ours  ? "NOT VALID; nothing says that it is ours"
                 : over ? "NOT VALID, of a rollout of which no step stands any more"
                        : "NOT VALID, to be validated by a later step";
    if (one.partial) {
      one.repair.push_back(to_text(row[3]));
      one.guard = fmt::format(
          "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = {} AND NOT k.convalidated)",
          to_text(row[5]));
    }
    out.push_back(std::move(one));
  }
  return {};
}

// Nothing of Poundlock's makes a slot or prepares a transaction: a name is all that could point to it, and a
// standby's slot or a half of somebody's two-phase commit that bears it would be lost for good.
Status find_server_wide(ports::Session& session, const BoundaryOptions& options, std::vector<Finding>& out) {
  PL_TRY(
      const auto slots,
      session.run(
          "SELECT s.slot_name, s.active, s.slot_type = 'logical' FROM pg_catalog.pg_replication_slots s "
          "WHERE (s.slot_name LIKE 'poundlock%' OR s.slot_name = ANY ($1::text[])) AND (s.database IS NULL "
          "OR s.database = pg_catalog.current_database())",
          {ports::array_literal(options.slots)}));
  for (const auto& row : slots.rows) {
    const std::string name = to_text(row[0]);
    const bool used = to_bool(row[1]), logical = to_bool(row[2]);
    const bool vouched = std::find(options.slots.begin(), options.slots.end(), name) != options.slots.end();
    Finding one{"slot", name, "", "", !used && (logical || vouched), {}};
    one.detail = used ? "in use" : "nobody reads from it, and the server keeps its WAL for it";
    if (!used && vouched) {
      one.repair.push_back(
          fmt::format("SELECT pg_catalog.pg_drop_replication_slot({})", schema::quote_literal(name)));
    } else if (!used) {
      one.detail += fmt::format("; its name alone does not make it ours: --slot {} to vouch that {}", name,
                                logical ? "its reader is gone" : "its standby is gone");
    }
    out.push_back(std::move(one));
  }
  PL_TRY(const auto prepared,
         session.run("SELECT x.gid, x.owner, x.prepared::text, x.gid LIKE 'poundlock%' FROM "
                     "pg_catalog.pg_prepared_xacts x WHERE x.database = pg_catalog.current_database()"));
  for (const auto& row : prepared.rows) {
    const bool named = to_bool(row[3]);
    Finding one{"prepared transaction", to_text(row[0]), "", "", named, {}};
    one.detail =
        fmt::format("of {} since {}; it keeps its locks; {}", to_text(row[1]), to_text(row[2]),
                    named ? "Poundlock prepares none: whoever knows its other half ends it by COMMIT "
                            "PREPARED or ROLLBACK PREPARED"
                          : "it is not ours");
    out.push_back(std::move(one));
  }
  // Steps let a transaction idle for 5 s at most; a snapshot that is held for reading has no id.
  PL_TRY(
      const auto sessions,
      session.run(
          "SELECT a.pid, a.state_change::text, a.backend_start::text FROM "
          "pg_catalog.pg_stat_activity a WHERE a.application_name IN ('poundlock', 'poundlock "
          "replay') AND a.usename = current_user AND a.datname = pg_catalog.current_database() AND a.pid <> "
          "pg_catalog.pg_backend_pid() AND a.state LIKE 'idle in transaction%' AND a.backend_xid IS "
          "NOT NULL AND a.state_change < pg_catalog.clock_timestamp() - interval '10 s'"));
  for (const auto& row : sessions.rows) {
    const std::string same = fmt::format(
        "a.pid = {} AND a.backend_start = {}::timestamptz AND a.state LIKE 'idle "
        "in transaction%'",
        to_text(row[0]), schema::quote_literal(to_text(row[2])));
    Finding one{"session", "pid " + to_text(row[0]), "", "", true, {}};
    one.detail = fmt::format("idle in a transaction that has written, since {}", to_text(row[1]));
    one.repair.push_back(fmt::format(
        "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a WHERE {}", same));
    one.guard = fmt::format("SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE {})", same);
    out.push_back(std::move(one));
  }
  return {};
}

Status find_shadows(ports::Session& session, std::vector<Finding>& out) {
  PL_TRY(const auto here, session.run("SELECT pg_catalog.current_database()"));
  const std::string base = schema::derive_name({to_text(here.rows.at(0).at(0)), "poundlock_shadow"});
  std::vector<std::string> names{base};
  for (int i = 2; i <= kShadowsMax; ++i) names.push_back(schema::derive_name({base, std::to_string(i)}));
  PL_TRY(const auto rows,
         session.run(
             "SELECT d.datname, EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' "
             "AND l.classid = 727277 AND l.objid = (pg_catalog.hashtext(d.datname::text)::bigint & "
             "4294967295)::pg_catalog.oid AND l.objsubid = 2), "
             "pg_catalog.pg_get_userbyid(d.datdba) = current_user AND (EXISTS (SELECT FROM "
             "pg_catalog.pg_db_role_setting s WHERE s.setdatabase = d.oid AND s.setrole = 0 AND "
             "'poundlock.shadow=on' = ANY (s.setconfig)) OR coalesce(pg_catalog.shobj_description(d.oid, "
             "'pg_database') = 'poundlock.shadow = on', false)) FROM pg_catalog.pg_database d WHERE "
             "d.datname = ANY ($1::text[]) ORDER BY 1",
             {ports::array_literal(names)}));
  for (const auto& row : rows.rows) {
    const std::string name = to_text(row[0]);
    const bool used = to_bool(row[1]), ours = to_bool(row[2]);
    Finding one{"shadow", schema::quote_identifier(name), "", "", !used && ours, {}};
    one.detail = used   ? "a check is using it"
                 : ours ? "a check that was killed left it"
                        : "called like a shadow of this database, without its mark or of another owner";
    if (one.partial) one.repair.push_back("DROP DATABASE IF EXISTS " + schema::force_quote_identifier(name));
    out.push_back(std::move(one));
  }
  return {};
}

void compare_schema(const BoundaryOptions& options, std::vector<Finding>& out) {
  if (!options.expected || !options.present || *options.expected == *options.present) return;
  const auto lines = [](const std::string& text) {
    std::set<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.insert(line);
    return all;
  };
  const auto expected = lines(options.expected->text), present = lines(options.present->text);
  const auto put = [&](const std::set<std::string>& here, const std::set<std::string>& there,
                       const char* how) {
    for (const auto& line : here)
      if (!there.contains(line) && out.size() < kSchemaLines)
        out.push_back({"schema", line, how, "", true, {}});
  };
  put(expected, present, "was recorded, and is not there");
  put(present, expected, "is there, and was not recorded");
}

struct Repaired {
  std::string why_not;   // "": it is gone
  bool changed = false;  // somebody ended or repaired it since it was found: it is partial no longer
};

Result<Repaired> repair_one(ports::Session& session, const Finding& one) {
  Repaired out;
  if (!one.rollout.empty()) {
    PL_TRY(const bool free, try_advisory_lock(session, one.rollout));
    if (!free) return Repaired{"left alone: a session is working on the rollout again"};
  }
  if (!one.guard.empty()) {
    PL_TRY(const auto still, session.run(one.guard));
    out.changed = !to_bool(still.rows.at(0).at(0));
    if (out.changed) out.why_not = "left alone: it is no longer as it was found";
  }
  for (std::size_t i = 0; i < one.repair.size() && out.why_not.empty(); ++i) {
    const auto done = session.run(one.repair[i]);
    if (done) continue;
    if (session.broken()) return fail(done.error());
    out.why_not = "not repaired: " + done.error().message;
  }
  if (!one.rollout.empty())
    PL_CHECK(
        session.run("SELECT pg_catalog.pg_advisory_unlock(727276, pg_catalog.hashtext($1))", {one.rollout}));
  return out;
}

}  // namespace

std::vector<MadeIndex> indexes_made_by(const std::vector<std::string>& statements) {
  std::vector<MadeIndex> out;
  for (const auto& sql : statements) {
    const auto script = schema::parse_script(sql);
    if (!script) continue;
    for (const auto& statement : script->statements) {
      const auto* index = schema::as<PgQuery__IndexStmt>(statement.node());
      if (index == nullptr || index->relation == nullptr) continue;
      out.push_back({schema::name_of(*index->relation), std::string(schema::text_of(index->idxname))});
    }
  }
  return out;
}

Result<std::vector<Finding>> find_partial(ports::Session& session, const BoundaryOptions& options) {
  // All of them: what bears another one's mark would else seem to be left by a rollout that nobody knows.
  PL_TRY(const auto known, known_rollouts(session));
  std::vector<Finding> out;
  PL_CHECK(find_indexes(session, known, options, out));
  PL_CHECK(find_constraints(session, known, options, out));
  PL_CHECK(find_marked(session, known, out));
  PL_CHECK(find_backfills(session, known, out));
  PL_CHECK(find_steps(session, known, options, out));
  // Last: it is what tells whose the half-built index is, until that is gone.
  auto begun = find_begun(known);
  std::move(begun.begin(), begun.end(), std::back_inserter(out));
  PL_CHECK(find_server_wide(session, options, out));
  PL_CHECK(find_shadows(session, out));
  if (!options.rollout.empty())
    std::erase_if(out,
                  [&](const Finding& one) { return !one.rollout.empty() && one.rollout != options.rollout; });
  compare_schema(options, out);
  return out;
}

Status repair(ports::Session& session, std::vector<Finding>& findings) {
  // A reader in the way is waited for shortly: nobody should queue behind a clean-up.
  PL_CHECK(session.run("SELECT pg_catalog.set_config('lock_timeout', '2s', false)"));
  std::set<std::string> unfinished;
  for (auto& one : findings) {
    if (!one.partial || one.repair.empty()) continue;
    if (one.kind == "step" && unfinished.contains(one.rollout)) {
      one.repaired = "left: something of it is still there";
      continue;
    }
    // What a CONCURRENTLY waits for is not a queue, but every transaction that is under way.
    const bool waits = one.kind == "index" || one.kind == "step";
    PL_CHECK(session.run("SELECT pg_catalog.set_config('lock_timeout', $1, false)", {waits ? "60s" : "2s"}));
    PL_TRY(const auto repaired, repair_one(session, one));
    one.done = repaired.why_not.empty();
    one.partial = !repaired.changed;
    if (!one.done && one.partial) unfinished.insert(one.rollout);
    std::string ran;
    for (const auto& sql : one.repair) ran += (ran.empty() ? "" : "; ") + sql;
    one.repaired = one.done ? ran : repaired.why_not;
  }
  return {};
}

}  // namespace poundlock::engine
