#include <fmt/format.h>

#include "lint/columns.h"
#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The domain that is the column's type and has a CHECK or NOT NULL; "".
std::string constrained_domain(const Context& context, const AddedColumn& column) {
  const auto* definition = schema::as<PgQuery__ColumnDef>(column.action.command.def);
  if (definition->type_name == nullptr) return "";
  const schema::QualifiedName name =
      schema::name_of(definition->type_name->names, definition->type_name->n_names);
  const std::string text = "domain " + name.to_sql();
  if (context.facts->makes_domain(name)) return text;
  if (context.options.catalog == nullptr) return "";
  for (const schema::Type& type : context.options.catalog->types) {
    const bool same = type.name == name.name && (name.schema.empty() || name.schema == type.schema);
    const bool conditions = type.definition.find(" CHECK ") != std::string::npos ||
                            type.definition.find(" NOT NULL") != std::string::npos;
    if (same && type.kind == 'd' && conditions) return text;
  }
  return "";
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_added_column(context, [&](const AddedColumn& column) {
    const ColumnTraits& traits = column.traits;
    const std::string domain = traits.rewrites() ? "" : constrained_domain(context, column);
    if (!traits.rewrites() && domain.empty()) return;
    schema::ByteRange range = column.type_range;  // serial
    std::string what = domain.empty() ? "is serial" : "is of " + domain + ", which has conditions";
    const auto found = [&](int contype, const char* text) {
      if (const ColumnPiece* piece = column.piece(contype)) range = piece->range;
      what = text;
    };
    if (traits.generated) found(PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED, "is a stored generated column");
    if (traits.identity) found(PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY, "is an identity column");
    if (traits.volatile_default)
      found(PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT, "has a default that may differ from row to row");
    matches.push_back(
        {range, fmt::format("column {} of {} {}", column.name, table_text(column.action.table), what),
         domain.empty() ? in_place_of(context.statement, column.action, column.in_steps()) : ""});
  });
  return matches;
}

}  // namespace

const Rule& volatile_default() {
  static const Rule rule{
      .id = "volatile_default",
      .title = "a new column whose values are computed row by row",
      .reason =
          "PostgreSQL rewrites the whole table and all its indexes under ACCESS EXCLUSIVE: nobody reads or "
          "writes it until that is done, and the disk holds it twice.",
      .fix =
          "Add a plain nullable column (for serial and identity: and a sequence), set the default by itself "
          "so "
          "that new rows get it, backfill the old rows in batches, then add NOT NULL by a validated CHECK.",
      .bad = {"ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid();",
              "ALTER TABLE orders ADD COLUMN n bigserial;",
              "ALTER TABLE orders ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY;",
              "ALTER TABLE orders ADD COLUMN total numeric GENERATED ALWAYS AS (price * amount) STORED;",
              "ALTER TABLE orders ADD COLUMN r float8 DEFAULT random(), ADD COLUMN s float8;",
              "CREATE DOMAIN positive AS numeric CHECK (VALUE > 0);\n"
              "ALTER TABLE orders ADD COLUMN paid_total positive;"},
      .good = {"ALTER TABLE orders ADD COLUMN token uuid; ALTER TABLE orders ALTER token SET DEFAULT "
               "gen_random_uuid();",
               "ALTER TABLE orders ADD COLUMN at timestamptz DEFAULT now();",
               "CREATE DOMAIN label AS text; ALTER TABLE orders ADD COLUMN short label;",
               "CREATE TABLE notes (id bigserial, token uuid DEFAULT gen_random_uuid());"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
