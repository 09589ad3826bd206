#include "engine/leftovers.h"

#include <fmt/format.h>

#include "change/sync.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

Status append(ports::Session& session, const ports::Sql& query, std::vector<std::string>& found) {
  PL_TRY(const auto rows, session.run(query));
  for (const auto& row : rows.rows) found.push_back(ports::to_text(row.at(0)));
  return {};
}

}  // namespace

Result<std::vector<std::string>> leftovers(ports::Session& session, std::string_view rollout,
                                           const std::vector<change::Step>& steps,
                                           const std::vector<change::ColumnRef>& fresh) {
  std::vector<std::string> found;
  for (const auto& step : steps) {
    if (step.phase != change::Phase::kDualWrite || step.kind == change::StepKind::kCheck ||
        step.probe.empty())
      continue;
    PL_TRY(const auto answer, session.run(step.probe));
    if (ports::to_bool(answer.rows.at(0).at(0)))
      found.push_back(fmt::format("the effect of step {} ({})", step.id, step.title));
    if (step.repair_when.empty()) continue;
    PL_TRY(const auto invalid, session.run(step.repair_when));
    if (ports::to_bool(invalid.rows.at(0).at(0)))
      found.push_back(fmt::format("an INVALID index of step {}", step.id));
  }
  for (const auto& column : fresh) {
    PL_CHECK(append(session,
                    {"SELECT pg_catalog.format('column %I of %I.%I', a.attname, n.nspname, c.relname) FROM "
                     "pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN "
                     "pg_catalog.pg_namespace n "
                     "ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 "
                     "AND NOT a.attisdropped",
                     {column.schema, column.table, column.column}},
                    found));
  }
  const ports::Cell comment = change::rollout_comment(rollout);
  PL_CHECK(append(session,
                  {"SELECT pg_catalog.format('trigger %I on %s', t.tgname, t.tgrelid::regclass) FROM "
                   "pg_catalog.pg_trigger t "
                   "WHERE pg_catalog.obj_description(t.tgfoid, 'pg_proc') = $1 AND NOT t.tgisinternal",
                   {comment}},
                  found));
  PL_CHECK(
      append(session,
             {"SELECT pg_catalog.format('function %s', p.oid::regprocedure) FROM pg_catalog.pg_proc p JOIN "
              "pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'poundlock' AND "
              "pg_catalog.obj_description(p.oid, 'pg_proc') = $1",
              {comment}},
             found));
  PL_CHECK(append(session,
                  {"SELECT pg_catalog.format('sequence %s', c.oid::regclass) FROM pg_catalog.pg_class c JOIN "
                   "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'poundlock' AND "
                   "c.relkind = 'S' AND "
                   "pg_catalog.obj_description(c.oid, 'pg_class') = $1",
                   {comment}},
                  found));
  PL_TRY(const auto ledger, session.run("SELECT pg_catalog.to_regclass('poundlock.backfill') IS NOT NULL"));
  if (ports::to_bool(ledger.rows.at(0)[0])) {
    PL_CHECK(append(session,
                    {"SELECT DISTINCT pg_catalog.format('checkpoint of backfill %s', step) FROM "
                     "poundlock.backfill WHERE rollout "
                     "= $1 AND NOT done",
                     {std::string(rollout)}},
                    found));
  }
  return found;
}

}  // namespace poundlock::engine
