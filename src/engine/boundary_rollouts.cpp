#include "engine/boundary_rollouts.h"

#include <fmt/format.h>

#include "engine/ledger.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

using ports::to_text;

Result<bool> exists(ports::Session& session, const std::string& relation) {
  PL_TRY(const auto rows, session.run("SELECT pg_catalog.to_regclass($1) IS NOT NULL", {relation}));
  return ports::to_bool(rows.rows.at(0).at(0));
}

const KnownRollout& of(const KnownRollouts& known, const std::string& name) {
  static const KnownRollout none;
  const auto found = known.find(name);
  return found == known.end() ? none : found->second;
}

Result<bool> asks(ports::Session& session, const std::string& probe) {
  if (probe.empty()) return false;
  PL_TRY(const auto rows, session.run(probe));
  return !rows.rows.empty() && ports::to_bool(rows.rows[0].at(0));
}

std::string nothing_stands(const std::string& rollout) {
  return fmt::format(
      "SELECT NOT EXISTS (SELECT FROM (SELECT DISTINCT ON (l.step) l.direction FROM poundlock.ledger l WHERE "
      "l.rollout = {} ORDER BY l.step, l.id DESC) s WHERE s.direction = 'forward')",
      schema::quote_literal(rollout));
}

}  // namespace

Result<KnownRollouts> known_rollouts(ports::Session& session) {
  KnownRollouts out;
  PL_TRY(const bool ledger, exists(session, "poundlock.ledger"));
  if (ledger) {
    PL_TRY(const auto rows,
           session.run("SELECT r.name, (SELECT pg_catalog.count(*) FROM (SELECT DISTINCT ON (l.step) "
                       "l.direction FROM poundlock.ledger l WHERE l.rollout = r.name ORDER BY l.step, l.id "
                       "DESC) s WHERE s.direction = 'forward') FROM poundlock.rollout r"));
    for (const auto& row : rows.rows) out[to_text(row[0])].standing = static_cast<int>(ports::to_int(row[1]));
  }
  PL_TRY(const bool begun, exists(session, "poundlock.begun"));
  if (begun) {
    PL_TRY(const auto rows, session.run("SELECT rollout, step, direction, at::text, sql::text FROM "
                                        "poundlock.begun ORDER BY at"));
    for (const auto& row : rows.rows)
      out[to_text(row[0])].begun.push_back(
          {to_text(row[1]), to_text(row[2]), to_text(row[3]), ports::to_names(row[4])});
  }
  // Also those whose ledger was taken away, by the marks on what they made.
  PL_TRY(const auto marked,
         session.run("SELECT DISTINCT pg_catalog.substr(d.description, 19) FROM pg_catalog.pg_description d "
                     "WHERE d.description LIKE 'poundlock rollout %'"));
  for (const auto& row : marked.rows) out[to_text(row[0])];
  for (auto& [name, rollout] : out) {
    PL_TRY(const auto held,
           session.run("SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND "
                       "l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = "
                       "pg_catalog.current_database()) AND l.classid = 727276 AND l.objid = "
                       "(pg_catalog.hashtext($1)::bigint & 4294967295)::pg_catalog.oid AND l.objsubid = 2 "
                       "AND l.pid <> pg_catalog.pg_backend_pid())",
                       {name}));
    rollout.worked_on = ports::to_bool(held.rows.at(0).at(0));
  }
  return out;
}

std::vector<Finding> find_begun(const KnownRollouts& known) {
  std::vector<Finding> out;
  for (const auto& [name, rollout] : known) {
    for (const auto& step : rollout.begun) {
      Finding one{"step", fmt::format("{} of {}", step.step, name), "", name, !rollout.worked_on, {}};
      if (rollout.worked_on) {
        one.detail = fmt::format("{} since {}: a session is working on it", step.direction, step.at);
        out.push_back(std::move(one));
        continue;
      }
      one.detail = fmt::format("begun ({}) at {}, and nobody recorded its end", step.direction, step.at);
      // Its index, if it is half-built, is a finding of its own; then only the note of the begin is left.
      one.repair.push_back(fmt::format("DELETE FROM poundlock.begun WHERE rollout = {} AND step = {}",
                                       schema::quote_literal(name), schema::quote_literal(step.step)));
      out.push_back(std::move(one));
    }
  }
  return out;
}

Status find_backfills(ports::Session& session, const KnownRollouts& known, std::vector<Finding>& out) {
  PL_TRY(const bool there, exists(session, "poundlock.backfill"));
  if (!there) return {};
  PL_TRY(const auto rows,
         session.run("SELECT b.rollout, b.step, pg_catalog.sum(b.rows)::text, pg_catalog.max(b.at)::text, "
                     "pg_catalog.bool_or(b.at > pg_catalog.clock_timestamp() - interval '60 s') FROM "
                     "poundlock.backfill b WHERE NOT b.done GROUP BY 1, 2 ORDER BY 1, 2"));
  for (const auto& row : rows.rows) {
    const std::string name = to_text(row[0]), step = to_text(row[1]);
    const auto& rollout = of(known, name);
    Finding one{"backfill", fmt::format("{} of {}", step, name), "", name, true, {}};
    one.detail = fmt::format("stopped after {} rows, the last at {}", to_text(row[2]), to_text(row[3]));
    if (rollout.over() && !ports::to_bool(row[4])) {
      one.repair.push_back(fmt::format("DELETE FROM poundlock.backfill WHERE rollout = {} AND step = {}",
                                       schema::quote_literal(name), schema::quote_literal(step)));
    } else {
      // Each batch is a transaction, and the next run goes on at the checkpoint.
      one.partial = false;
      one.detail += "; the rollout is under way, and goes on from there";
    }
    out.push_back(std::move(one));
  }
  return {};
}

Status find_marked(ports::Session& session, const KnownRollouts& known, std::vector<Finding>& out) {
  // Triggers first: their functions cannot go before them.
  PL_TRY(
      const auto rows,
      session.run(
          "SELECT 'trigger', pg_catalog.format('%I on %s', t.tgname, t.tgrelid::regclass), "
          "pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %s', t.tgname, t.tgrelid::regclass), "
          "pg_catalog.substr(pg_catalog.obj_description(t.tgfoid, 'pg_proc'), 19) FROM pg_catalog.pg_trigger "
          "t "
          "WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND pg_catalog.obj_description(t.tgfoid, 'pg_proc') "
          "LIKE 'poundlock rollout %' AND EXISTS (SELECT FROM pg_catalog.pg_proc f JOIN "
          "pg_catalog.pg_namespace m ON m.oid = f.pronamespace WHERE f.oid = t.tgfoid AND m.nspname = "
          "'poundlock') UNION ALL SELECT 'function', p.oid::regprocedure::text, "
          "pg_catalog.format('DROP FUNCTION IF EXISTS %s', p.oid::regprocedure), "
          "pg_catalog.substr(pg_catalog.obj_description(p.oid, 'pg_proc'), 19) FROM pg_catalog.pg_proc p "
          "JOIN "
          "pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'poundlock' AND "
          "pg_catalog.obj_description(p.oid, 'pg_proc') LIKE 'poundlock rollout %' UNION ALL SELECT "
          "'sequence', c.oid::regclass::text, pg_catalog.format('DROP SEQUENCE IF EXISTS %s', "
          "c.oid::regclass), pg_catalog.substr(pg_catalog.obj_description(c.oid, 'pg_class'), 19) FROM "
          "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "
          "'poundlock' AND c.relkind = 'S' AND pg_catalog.obj_description(c.oid, 'pg_class') LIKE 'poundlock "
          "rollout %'"));
  PL_TRY(const bool ledger, exists(session, "poundlock.ledger"));
  for (const auto& row : rows.rows) {
    const std::string name = to_text(row[3]);
    const auto& rollout = of(known, name);
    Finding one{to_text(row[0]), to_text(row[1]), "", name, rollout.over(), {}};
    if (rollout.over()) {
      one.detail = fmt::format("made by {}, of which no step stands any more", name);
      one.repair.push_back(to_text(row[2]));
      if (ledger) one.guard = nothing_stands(name);
    } else {
      one.detail = rollout.worked_on
                       ? fmt::format("made by {}, which a session is working on", name)
                       : fmt::format("made by {}, of which {} steps stand", name, rollout.standing);
    }
    out.push_back(std::move(one));
  }
  return {};
}

namespace {
// Half a step of a file is told, and taken away, as the index that it left: only that knows who builds it.
Status find_steps_of_file(ports::Session& session, const BoundaryOptions& options,
                          std::vector<Finding>& out) {
  for (const auto& step : options.steps) {
    if (step.probe.empty()) continue;
    PL_TRY(const bool effect, asks(session, step.probe));
    PL_TRY(const bool half, step.repair_when.empty() ? Result<bool>(false) : asks(session, step.repair_when));
    out.push_back({"step",
                   fmt::format("{} of {}", step.id, options.file),
                   fmt::format("{}: {}",
                               effect ? "wholly done"
                               : half ? "half done"
                                      : "not done",
                               step.title),
                   "",
                   false,
                   {}});
  }
  return {};
}
}  // namespace

Status find_steps(ports::Session& session, const KnownRollouts& known, const BoundaryOptions& options,
                  std::vector<Finding>& out) {
  if (!options.file.empty()) return find_steps_of_file(session, options, out);
  const auto& rollout = of(known, options.rollout);
  PL_TRY(const bool ledger, exists(session, "poundlock.ledger"));
  std::vector<std::pair<const change::Step*, std::optional<Direction>>> all;
  bool contracted = false;
  for (const auto& step : options.steps) {
    std::optional<Direction> last;
    if (ledger) {
      PL_TRY(last, last_direction(session, options.rollout, step.id));
    }
    contracted = contracted || (step.phase == change::Phase::kContract && last == Direction::kForward);
    all.emplace_back(&step, last);
  }
  for (const auto& [step, last] : all) {
    if (step->probe.empty()) continue;
    Finding one{"step", fmt::format("{} of {}", step->id, options.rollout), "", options.rollout, true, {}};
    PL_TRY(const bool effect, asks(session, step->probe));
    PL_TRY(const bool half,
           step->repair_when.empty() ? Result<bool>(false) : asks(session, step->repair_when));
    if (half && !effect) {
      one.partial = !rollout.worked_on;
      one.detail = rollout.worked_on ? "half done: a session is working on it" : "half done: " + step->title;
      if (one.partial) {
        one.repair = step->repair;
        one.guard = step->repair_when;  // an executor that came back may have ended it meanwhile
      }
      out.push_back(std::move(one));
    } else if (!effect && last == Direction::kForward && !contracted) {
      // What the contract takes away is not missed.
      one.detail = "recorded as done, and its effect is not there: " + step->title;
      out.push_back(std::move(one));
    } else if (effect && last != Direction::kForward) {
      one.partial = false;
      one.detail = "wholly done, and not recorded: the next run finds it done and records it";
      out.push_back(std::move(one));
    }
  }
  return {};
}

}  // namespace poundlock::engine
