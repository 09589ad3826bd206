#include "rollout/references.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "rollout/judging.h"
#include "rollout/question_text.h"
#include "rollout/statements.h"

namespace poundlock::rollout {
namespace {

// $1, $2, $3: schemas, tables and columns of the side. Objects in the schema poundlock are ours, and so are
// triggers that call a function of it and constraints named poundlock_*. What belongs to the column alone
// (its index, its CHECK, its default) goes with it and is no reference.
constexpr std::string_view kCatalogSql = R"sql(
WITH target AS (
  SELECT c.oid AS relid, a.attnum, c.reltype FROM unnest($1::text[], $2::text[], $3::text[]) AS t(s, n, col)
  JOIN pg_catalog.pg_namespace n ON n.nspname = t.s
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.n
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = t.col AND NOT a.attisdropped
), dependent AS (
  SELECT DISTINCT d.classid, d.objid, d.objsubid, t.relid, t.attnum
  FROM pg_catalog.pg_depend d JOIN target t ON d.refobjid = t.relid AND d.refobjsubid = t.attnum
  WHERE d.refclassid = 'pg_catalog.pg_class'::regclass
), counted AS (
  SELECT d.* FROM dependent d
  WHERE d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_policy'::regclass,
                      'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_publication_rel'::regclass)
     OR (d.classid = 'pg_catalog.pg_trigger'::regclass AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
           JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
           WHERE g.oid = d.objid AND (n.nspname = 'poundlock' OR g.tgisinternal)))
     OR (d.classid = 'pg_catalog.pg_constraint'::regclass AND EXISTS (
           SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid AND k.conname NOT LIKE 'poundlock%'
             AND (k.conrelid <> d.relid OR cardinality(k.conkey) > 1)))
     OR (d.classid = 'pg_catalog.pg_attrdef'::regclass AND EXISTS (
           SELECT FROM pg_catalog.pg_attrdef f WHERE f.oid = d.objid
             AND (f.adrelid <> d.relid OR f.adnum <> d.attnum)))
     OR (d.classid = 'pg_catalog.pg_class'::regclass AND EXISTS (
           SELECT FROM pg_catalog.pg_index i WHERE i.indexrelid = d.objid
             AND (i.indnatts > 1 OR (i.indpred IS NOT NULL AND NOT d.attnum = ANY (i.indkey)))))
)
SELECT 'catalog', pg_catalog.pg_describe_object(classid, objid, objsubid) FROM counted
UNION ALL
SELECT DISTINCT 'functions', 'function ' || p.oid::regprocedure::text
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
CROSS JOIN unnest($2::text[], $3::text[]) AS t(n, col)
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'poundlock')
  AND l.lanname NOT IN ('c', 'internal')
  AND p.prosrc ~* ('\m' || regexp_replace(t.col, '([^[:alnum:]_])', '\\\1', 'g') || '\M')
  AND (p.prosrc ~* ('\m' || regexp_replace(t.n, '([^[:alnum:]_])', '\\\1', 'g') || '\M')
       OR p.prorettype = 'pg_catalog.trigger'::regtype
       OR EXISTS (SELECT FROM target g WHERE g.reltype = ANY (p.proargtypes::oid[] || p.prorettype)))
LIMIT 200)sql";

// What other roles do at this moment. $1: tables; only texts that name one of them are of interest.
constexpr std::string_view kSessionsSql = R"sql(
SELECT a.pid, a.usename, a.query
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND a.usename IS NOT NULL AND a.usename NOT IN (current_user, session_user)
  AND coalesce(a.backend_type, 'client backend') = 'client backend'
  AND coalesce(a.state, 'active') <> 'idle'
  AND (a.query = '<insufficient privilege>'
       OR EXISTS (SELECT FROM unnest($1::text[]) AS t(n)
                  WHERE strpos(lower(replace(a.query, '""', '"')), lower(t.n)) > 0))
LIMIT 500)sql";

std::map<std::string, Observation> digest_catalog(const Question::Table& rows, const Plan&) {
  std::map<std::string, Observation> out{{"catalog", {}}, {"functions", {}}};
  std::map<std::string, std::vector<std::string>> names;
  for (const auto& row : rows) {
    const std::string kind = row.at(0).value_or("catalog");
    names[kind].push_back(row.at(1).value_or("an object without a name"));
    out[kind].value += 1;
    out[kind].detail = name_list(names[kind]);
  }
  return out;
}

std::map<std::string, Observation> digest_sessions(const Question::Table& rows, const Plan& plan,
                                                   bool legacy) {
  std::vector<std::string> texts;
  std::vector<std::string> who;
  double hidden = 0;
  for (const auto& row : rows) {
    if (row.at(2) == "<insufficient privilege>") {
      ++hidden;
      continue;
    }
    texts.push_back(row[2].value_or(""));
    who.push_back(fmt::format("{} (pid {})", row.at(1).value_or("?"), row.at(0).value_or("?")));
  }
  std::map<std::string, Observation> out;
  out["hidden"].value = hidden;
  if (hidden > 0) return out;
  const auto uses = uses_of(texts, plan);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < uses.size(); ++i) {
    if (legacy ? uses[i].legacy : uses[i].fresh) names.push_back(who[i]);
  }
  out["count"].value = static_cast<double>(names.size());
  out["count"].detail = name_list(names);
  return out;
}

std::map<std::string, Observation> digest_legacy(const Question::Table& rows, const Plan& plan) {
  return digest_sessions(rows, plan, true);
}
std::map<std::string, Observation> digest_fresh(const Question::Table& rows, const Plan& plan) {
  return digest_sessions(rows, plan, false);
}

const char* prefix(ReferenceSide side) {
  return side == ReferenceSide::kLegacy ? "legacy" : "fresh";
}

// Attempts that the application made on that side, and live builds that could.
double application_uses(const GateInput& in, ReferenceSide side, std::vector<std::string>& found) {
  if (!in.seen.app) return 0;
  double attempts = 0;
  for (const ContextStats& context : in.seen.app->contexts)
    attempts += static_cast<double>(side == ReferenceSide::kLegacy ? context.legacy : context.fresh);
  double by_path = 0;
  for (const PathStats& path : in.seen.app->paths) {
    const SideStats& stats = side == ReferenceSide::kLegacy ? path.legacy : path.fresh;
    by_path += static_cast<double>(stats.counts.attempts);
  }
  attempts = std::max(attempts, by_path);
  if (attempts > 0)
    found.push_back(counted(attempts, "attempt of the application", "attempts of the application"));
  double builds = 0;
  for (const InstanceInfo& one : in.seen.app->instances) {
    if (side == ReferenceSide::kLegacy && one.connected && !one.departed && one.legacy_path) ++builds;
  }
  if (builds > 0)
    found.push_back(counted(builds, "live build with a legacy path", "live builds with a legacy path"));
  return attempts + builds;
}

}  // namespace

std::vector<Question> reference_questions(const Plan& plan, ReferenceSide side) {
  const auto& columns = side == ReferenceSide::kLegacy ? plan.legacy : plan.fresh;
  if (columns.empty()) return {};
  std::vector<std::string> schemas;
  std::vector<std::string> tables;
  std::vector<std::string> names;
  for (const change::ColumnRef& column : columns) {
    schemas.push_back(column.schema);
    tables.push_back(column.table);
    names.push_back(column.column);
  }
  Question catalog;
  catalog.name = fmt::format("{}_objects", prefix(side));
  catalog.sql = kCatalogSql;
  catalog.params = {text_array(schemas), text_array(tables), text_array(names)};
  catalog.every = Millis{5000};
  catalog.digest = digest_catalog;
  Question sessions;
  sessions.name = fmt::format("{}_sessions", prefix(side));
  sessions.sql = kSessionsSql;
  sessions.params = {text_array(tables)};
  sessions.digest = side == ReferenceSide::kLegacy ? digest_legacy : digest_fresh;
  return {std::move(catalog), statements_question(plan), std::move(sessions)};
}

GateReading judge_references(const GateInput& in, ReferenceSide side) {
  const bool legacy = side == ReferenceSide::kLegacy;
  if ((legacy ? in.plan.legacy : in.plan.fresh).empty())
    return pass(
        in, 0, fmt::format("the change has no {} side that could be referred to", legacy ? "legacy" : "new"));
  const std::string name = prefix(side);
  std::vector<std::string> found;
  std::string unknown;
  double total = application_uses(in, side, found);
  const auto count = [&](std::optional<double> value, const std::string& observation, std::string_view what) {
    if (!value) {
      unknown += fmt::format("{}{}", unknown.empty() ? "" : ", ", what);
    } else if (*value > 0) {
      total += *value;
      found.push_back(fmt::format("{} {}: {}", count_text(*value), what, in.detail(observation)));
    }
  };
  count(in.value(name + "_objects.catalog"), name + "_objects.catalog", "objects in the catalog");
  count(in.value(name + "_objects.functions"), name + "_objects.functions", "functions");
  count(in.value(name + "_sessions.count"), name + "_sessions.count", "present sessions");
  const auto hidden = statements_unknown(in);
  // Without the extension a rollback could never take the new side back; while the flag is off, the other
  // evidence has to do. The drop of legacy data is never decided that way.
  const bool without_statements = !legacy && in.value("collector.pg_stat_statements") == 0.0;
  if (!without_statements) {
    const std::string refs = "statements." + name + "_refs";
    count(hidden ? std::nullopt : in.since_mark(refs), refs, "calls of statements since the mark");
  }
  if (total > in.settings.limit) {
    std::string text;
    for (const auto& one : found) text += (text.empty() ? "" : "; ") + one;
    return violated(in, total, fmt::format("still referred to: {}", text));
  }
  if (!unknown.empty())
    return no_data(in, fmt::format("not known: {}{}{}", unknown, hidden ? ": " : "", hidden.value_or("")));
  if (!without_statements && legacy && !in.value("collector.statements_evicted"))
    return no_data(in,
                   "whether pg_stat_statements lost a statement is not known (PostgreSQL 14 and later count "
                   "it): a reference may have gone unseen");
  const double evicted = in.since_mark("collector.statements_evicted").value_or(0);
  if (evicted > 0 && !without_statements) {
    // No lack of data, which would end at a deadline: the window begins anew (Decider::count_anew).
    return hold(
        in, total,
        fmt::format("pg_stat_statements has evicted statements {:.0f} times since the mark, so that a "
                    "reference may be lost, and the count begins anew: raise pg_stat_statements.max",
                    evicted));
  }
  return pass(in, total,
              without_statements ? "no object, function or session refers to it (without pg_stat_statements)"
                                 : "no object, function, statement or session refers to it");
}

}  // namespace poundlock::rollout
