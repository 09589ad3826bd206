#include "change/expression_guard.h"

#include <fmt/format.h>

namespace poundlock::change {
namespace {

using schema::force_quote_identifier;
using schema::quote_literal;

// On a row of the table that has the new column already.
std::string on_both_sides(const schema::Expression& expression, const SyncSpec& spec) {
  return schema::rename_columns(expression, [&](const schema::ExpressionColumn& column) {
    const char* row = column.name == spec.fresh.column ? "new_" : "row_";
    return std::optional(fmt::format("{}.{}", row, force_quote_identifier(column.name)));
  });
}

// `tree` is the view's list of results as PostgreSQL keeps it: the functions and types that were found for
// the names and casts, whatever search_path said. A view's functions are all resolved; nothing has to be
// guessed. Conversions through text name no function there: the types tell, and enum, json and what is made
// of harmless types are harmless though their input functions are marked STABLE.
constexpr std::string_view kBody = R"(DECLARE
  tree text;
  bad text;
BEGIN
  CREATE VIEW {view} AS SELECT ({up})::{fresh_type} AS a, ({down})::{legacy_type} AS b
    FROM {table} AS row_, (SELECT NULL::{fresh_type} AS {fresh}) AS new_;
  SELECT pg_catalog.regexp_replace(r.ev_action::text, '^.*:targetList', '') INTO tree
    FROM pg_catalog.pg_rewrite r WHERE r.ev_class = {view_literal}::pg_catalog.regclass;
  DROP VIEW {view};
  SELECT pg_catalog.string_agg(DISTINCT p.oid::pg_catalog.regprocedure::text, ', ') INTO bad
    FROM pg_catalog.regexp_matches(tree, ':(?:op)?funcid ([0-9]+)', 'g') AS used(id)
    JOIN pg_catalog.pg_proc p ON p.oid = used.id[1]::pg_catalog.oid WHERE p.provolatile <> 'i';
  IF bad IS NULL AND pg_catalog.strpos(tree, '{{COERCEVIAIO') > 0 THEN
    WITH RECURSIVE t(id) AS (
      SELECT used.id[1]::pg_catalog.oid
        FROM pg_catalog.regexp_matches(tree, ':(?:vartype|[a-z]*resulttype) ([0-9]+)', 'g') AS used(id)
      UNION
      SELECT CASE y.typtype WHEN 'd' THEN y.typbasetype ELSE y.typelem END
        FROM t JOIN pg_catalog.pg_type y ON y.oid = t.id
       WHERE y.typtype = 'd' OR (y.typelem <> 0 AND y.typlen = -1))
    SELECT pg_catalog.string_agg(pg_catalog.format_type(y.oid, NULL) || ' as text', ', ') INTO bad
      FROM t JOIN pg_catalog.pg_type y ON y.oid = t.id
      JOIN pg_catalog.pg_proc i ON i.oid = y.typinput JOIN pg_catalog.pg_proc o ON o.oid = y.typoutput
     WHERE (i.provolatile <> 'i' OR o.provolatile <> 'i') AND y.typtype NOT IN ('d', 'e')
       AND NOT (y.typelem <> 0 AND y.typlen = -1)
       AND y.oid <> ALL (ARRAY['json', 'jsonb']::pg_catalog.regtype[]::pg_catalog.oid[]);
  END IF;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = {what} || ' may give another value in another session: ' || bad,
      HINT = 'the trigger runs under the application''s settings, the backfill under ours: say format and '
        || 'time zone (AT TIME ZONE ''UTC'', make_date), join texts by ||, or call an IMMUTABLE function';
  END IF;
  SELECT pg_catalog.string_agg(DISTINCT
      CASE WHEN pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')
      THEN pg_catalog.format('GRANT USAGE ON SCHEMA %I TO PUBLIC', n.nspname)
      ELSE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', p.oid::pg_catalog.regprocedure)
      END, '; ') INTO bad
    FROM pg_catalog.regexp_matches(tree, ':(?:op)?funcid ([0-9]+)', 'g') AS used(id)
    JOIN pg_catalog.pg_proc p ON p.oid = used.id[1]::pg_catalog.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   WHERE NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')
      OR (n.nspname <> {schema} AND NOT pg_catalog.has_schema_privilege('public', n.oid, 'USAGE'));
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
      MESSAGE = {what} || ' would fail for writers who may not execute what it calls', HINT = bad;
  END IF;
END)";

}  // namespace

std::string expression_guard(const SyncSpec& spec) {
  const std::string view = fmt::format(
      "{}.{}", force_quote_identifier(kHelperSchema),
      force_quote_identifier(
          schema::derive_name({spec.rollout, spec.table.schema, spec.table.name, spec.name, "expressions"})));
  const std::string what = fmt::format("poundlock: `up` or `down` of {}", spec.fresh.column);
  return "DO " +
         quote_literal(fmt::format(
             kBody, fmt::arg("view", view), fmt::arg("view_literal", quote_literal(view)),
             fmt::arg("up", on_both_sides(spec.up, spec)), fmt::arg("down", on_both_sides(spec.down, spec)),
             fmt::arg("fresh_type", spec.fresh.type), fmt::arg("legacy_type", spec.legacy.type),
             fmt::arg("fresh", force_quote_identifier(spec.fresh.column)),
             fmt::arg("table", force_quote_identifier(spec.table.schema) + "." +
                                   force_quote_identifier(spec.table.name)),
             fmt::arg("what", quote_literal(what)), fmt::arg("schema", quote_literal(spec.table.schema))));
}

}  // namespace poundlock::change
