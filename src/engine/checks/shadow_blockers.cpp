#include "engine/checks/shadow_blockers.h"

#include <fmt/format.h>

#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr std::string_view kDependents =
    "SELECT DISTINCT CASE WHEN v.oid IS NULL THEN"
    "   pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)"
    "  ELSE (CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END) ||"
    "   pg_catalog.format('%I.%I', vn.nspname, v.relname) END,"
    " CASE WHEN v.oid IS NULL THEN '' ELSE pg_catalog.format('%I.%I', vn.nspname, v.relname) END,"
    " coalesce(v.relkind = 'm', false)"
    " FROM pg_catalog.pg_attribute a"
    " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid"
    "  AND d.refobjsubid = a.attnum AND d.deptype = 'n'"
    " LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid"
    " LEFT JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')"
    " LEFT JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 AND NOT a.attisdropped"
    // Ours goes in the transaction of the drop.
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid"
    "  JOIN pg_catalog.pg_namespace m ON m.oid = p.pronamespace WHERE d.classid ="
    "  'pg_catalog.pg_trigger'::regclass AND t.oid = d.objid AND m.nspname = 'poundlock') ORDER BY 1";

}  // namespace

Result<std::vector<Dependent>> dependents_of_legacy(ports::Session& session, const rollout::Plan& plan) {
  std::vector<Dependent> out;
  for (const auto& column : plan.legacy) {
    PL_TRY(const auto rows,
           session.run(std::string(kDependents), {column.schema, column.table, column.column}));
    const std::string name = schema::QualifiedName{column.schema, column.table}.to_sql() + "." +
                             schema::quote_identifier(column.column);
    for (const auto& row : rows.rows)
      out.push_back({ports::to_text(row[0]), ports::to_text(row[1]), ports::to_bool(row[2]), name});
  }
  return out;
}

std::string advice_for(const Dependent& dependent) {
  if (dependent.view.empty())
    return fmt::format(
        "{} depends on {}: let it use the new side, or drop it, between the expand and the drop",
        dependent.what, dependent.column);
  return fmt::format(
      "{} reads {}, and PostgreSQL drops no column that a view reads: let it read the new side "
      "between the expand and the drop, by {}",
      dependent.what, dependent.column,
      dependent.stored ? "dropping and creating it anew"
                       : "CREATE OR REPLACE VIEW with the same names and types of its columns");
}

Result<std::vector<std::string>> set_views_aside(ports::Session& session, const rollout::Plan& plan) {
  std::vector<std::string> out;
  PL_TRY(const auto dependents, dependents_of_legacy(session, plan));
  for (const auto& one : dependents) {
    if (one.view.empty()) continue;
    // One that reads another goes with it, and is then not there any more.
    PL_CHECK(session.run(
        fmt::format("DROP {}VIEW IF EXISTS {} CASCADE", one.stored ? "MATERIALIZED " : "", one.view)));
    out.push_back(advice_for(one));
  }
  return out;
}

Error explain_refused_drop(ports::Session& session, const rollout::Plan& plan, Error error) {
  if (error.sqlstate != "2BP01") return error;
  const auto dependents = dependents_of_legacy(session, plan);
  if (!dependents || dependents->empty()) return error;
  std::string what, advice;
  for (const auto& one : *dependents) {
    what += (what.empty() ? "" : ", ") + one.what;
    advice += (advice.empty() ? "" : "; ") + advice_for(one);
  }
  error.message += fmt::format("; in the way: {}", what);
  error.hint = std::move(advice);
  return error;
}

}  // namespace poundlock::engine
