#include <fmt/format.h>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The next statement of the same transaction gives the old name to a view of the table?
bool view_takes_its_place(const Context& context, const PgQuery__RenameStmt& rename) {
  if (!context.in_transaction || context.following.empty()) return false;
  const auto* view = schema::as<PgQuery__ViewStmt>(context.following.front().node());
  return view != nullptr && same_table(schema::name_of(*view->view), schema::name_of(*rename.relation));
}

std::string with_view(const Context& context, const PgQuery__RenameStmt& rename) {
  const schema::QualifiedName old = schema::name_of(*rename.relation);
  const schema::QualifiedName now{old.schema, std::string(schema::text_of(rename.newname))};
  return fmt::format("{}{};\nCREATE VIEW {} AS SELECT * FROM {};{}", context.in_transaction ? "" : "BEGIN;\n",
                     context.statement.text(), old.to_sql(), now.to_sql(),
                     context.in_transaction ? "" : "\nCOMMIT;");
}

std::vector<Match> check(const Context& context) {
  const auto* rename = schema::as<PgQuery__RenameStmt>(context.statement.node());
  const schema::ByteRange all{0, context.statement.text().size()};
  if (rename == nullptr) {
    const auto* value = schema::as<PgQuery__AlterEnumStmt>(context.statement.node());
    if (value != nullptr && !schema::text_of(value->old_val).empty())
      return {{context.statement.words({"RENAME", "VALUE"}), "an enum's value", ""}};
    const auto* moved = schema::as<PgQuery__AlterObjectSchemaStmt>(context.statement.node());
    if (moved == nullptr || moved->relation == nullptr || context.is_new(schema::name_of(*moved->relation)))
      return {};
    return {{all, table_text(schema::name_of(*moved->relation)) + " moves to another schema", ""}};
  }
  if (rename->relation != nullptr && context.is_new(schema::name_of(*rename->relation))) return {};
  std::string what;
  switch (rename->rename_type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
      what = fmt::format("column {}", schema::quote_identifier(schema::text_of(rename->subname)));
      break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
      if (view_takes_its_place(context, *rename)) return {};
      return {{context.statement.words({"RENAME"}), "a table", with_view(context, *rename)}};
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW: what = "a view"; break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA: what = "a schema"; break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN: what = "a type"; break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_ATTRIBUTE: what = "an attribute of a type"; break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: what = "a sequence"; break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION:
    case PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE: what = "a function"; break;
    default: return {};  // constraints, indexes and triggers are not named by the application
  }
  return {{context.statement.words({"RENAME"}), what, ""}};
}

}  // namespace

const Rule& rename() {
  static const Rule rule{
      .id = "rename",
      .title = "something that the application names is renamed",
      .reason =
          "At that moment every running instance of the application, which still uses the old name, fails; "
          "and "
          "no order of deployment avoids it.",
      .fix =
          "Expand and contract: add the new column, keep both in step, move readers over, drop the old one. "
          "For a "
          "table: rename it and put an updatable view with the old name in its place, in one transaction.",
      .bad = {"ALTER TABLE orders RENAME COLUMN status TO state;", "ALTER TABLE orders RENAME TO purchases;",
              "ALTER SCHEMA app RENAME TO shop;", "ALTER TYPE mood RENAME VALUE 'sad' TO 'unhappy';",
              "ALTER TABLE orders SET SCHEMA archive;"},
      .good = {"ALTER TABLE orders ADD COLUMN state text;",
               "ALTER INDEX orders_status RENAME TO orders_state;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes RENAME TO remarks;",
               "BEGIN; ALTER TABLE orders RENAME TO purchases;\n"
               "CREATE VIEW orders AS SELECT * FROM purchases; COMMIT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
