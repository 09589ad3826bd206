#include <fmt/format.h>

#include <algorithm>

#include "base/suggest.h"
#include "lint/rule.h"
#include "lint/script_facts.h"
#include "lint/unknown_columns.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::text_of;

// What PostgreSQL itself brings, and names of no table: NEW and OLD of a rule.
bool is_servers(const QualifiedName& name) {
  return name.name.starts_with("pg_") || name.schema.starts_with("pg_") ||
         name.schema == "information_schema" || name.name == "new" || name.name == "old";
}

bool is_known(const Context& context, const QualifiedName& name) {
  if (name.name.empty() || is_servers(name) || context.facts->names().makes(name.name, context.index()))
    return true;
  if (!context.options.relations->contains(name.name)) return false;
  if (name.schema.empty()) return true;
  // In another schema alone? Of what the catalog leaves out nobody knows the schema.
  const ScriptNames& names = context.facts->names();
  return names.meant({"", name.name}).empty() || !names.meant(name).empty();
}

// "; did you mean orders?", or where there is one of that name.
std::string hint(const Context& context, const QualifiedName& name) {
  const auto elsewhere = context.facts->names().meant({"", name.name});
  if (!elsewhere.empty()) return fmt::format("; there is {}", elsewhere.front()->qualified().to_sql());
  std::vector<std::string_view> known = context.facts->names().made();
  for (const std::string& relation : *context.options.relations)
    if (!relation.starts_with("pg_")) known.push_back(relation);
  const std::string_view near = nearest(name.name, std::span<const std::string_view>(known));
  return near.empty() ? "" : fmt::format("; did you mean {}?", schema::quote_identifier(near));
}

schema::ByteRange place_of(const Context& context, const QualifiedName& name) {
  const auto& statement = context.statement;
  for (const schema::Token& token : statement.tokens()) {
    const std::string_view text = statement.slice(token.range);
    if (text == name.name || text == schema::force_quote_identifier(name.name)) return token.range;
  }
  return {0, statement.text().size()};
}

// A drop of what is not there, or a rename to what is, may have run already.
bool may_have_run(const Context& context) {
  const PgQuery__Node* node = context.statement.node();
  if (as<PgQuery__DropStmt>(node) != nullptr) return true;
  const auto* rename = as<PgQuery__RenameStmt>(node);
  return rename != nullptr && context.options.relations->contains(std::string(text_of(rename->newname)));
}

void add_table(const Context& context, const QualifiedName& name, schema::ByteRange range,
               std::vector<Match>& out) {
  if (is_known(context, name)) return;
  const bool twice = std::ranges::any_of(out, [&](const Match& match) { return match.subject == name.name; });
  if (twice) return;
  const bool again = may_have_run(context);
  out.push_back({.range = range,
                 .detail = fmt::format("{}{}{}", name.to_sql(), hint(context, name),
                                       again ? "; or this has run here before" : ""),
                 .rewrite = "",
                 .lesser = again,
                 .subject = name.name});
}

// IF EXISTS says that it may be missing.
bool may_be_missing(const PgQuery__Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_DROP_STMT: return node.drop_stmt->missing_ok;
    case PG_QUERY__NODE__NODE_RENAME_STMT: return node.rename_stmt->missing_ok;
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
      return node.alter_table_stmt->missing_ok ||
             node.alter_table_stmt->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE;
    case PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT: return node.alter_object_schema_stmt->missing_ok;
    case PG_QUERY__NODE__NODE_ALTER_SEQ_STMT: return node.alter_seq_stmt->missing_ok;
    default: return false;
  }
}

// The table in a name of several parts, of which the last `behind` are no part of the table's own.
QualifiedName table_in(const PgQuery__Node* object, std::size_t behind) {
  const auto* list = as<PgQuery__List>(object);
  if (list == nullptr || list->n_items <= behind) return {};
  return schema::name_of(list->items, list->n_items - behind);
}

void in_lists(const Context& context, std::vector<Match>& out) {
  const auto look = [&](PgQuery__ObjectType type, const PgQuery__Node* object) {
    std::size_t behind = 1;
    switch (type) {
      case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
      case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
      case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX: behind = 0; break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
      case PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER:
      case PG_QUERY__OBJECT_TYPE__OBJECT_POLICY:
      case PG_QUERY__OBJECT_TYPE__OBJECT_RULE: break;
      default: return;
    }
    // PostgreSQL gives an index its own name where the script gives none.
    if (type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX || type == PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE)
      if (context.facts->names().unnamed_before(context.index())) return;
    const QualifiedName name = table_in(object, behind);
    add_table(context, name, place_of(context, name), out);
  };
  const PgQuery__Node& node = *context.statement.node();
  if (const auto* drop = as<PgQuery__DropStmt>(&node))
    for (std::size_t i = 0; i < drop->n_objects; ++i) look(drop->remove_type, drop->objects[i]);
  if (node.node_case == PG_QUERY__NODE__NODE_COMMENT_STMT)
    look(node.comment_stmt->objtype, node.comment_stmt->object);
}

std::vector<Match> check(const Context& context) {
  const Options& options = context.options;
  if (options.relations == nullptr || options.catalog == nullptr || options.incomplete) return {};
  const PgQuery__Node& node = *context.statement.node();
  const ScriptNames& names = context.facts->names();
  if (names.opaque_before(context.index()) || may_be_missing(node)) return {};
  std::vector<Match> out;
  std::vector<std::string_view> queries;  // of WITH: in sight in more of the statement than they are here
  schema::walk(schema::content(&node), [&](const schema::Message* message) {
    if (const auto* query = as<PgQuery__CommonTableExpr>(message)) queries.push_back(text_of(query->ctename));
    return true;
  });
  const bool index = node.node_case == PG_QUERY__NODE__NODE_REINDEX_STMT ||
                     (node.node_case == PG_QUERY__NODE__NODE_RENAME_STMT &&
                      node.rename_stmt->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) ||
                     (node.node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_STMT &&
                      node.alter_table_stmt->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX);
  const bool type = node.node_case == PG_QUERY__NODE__NODE_RENAME_STMT &&
                    node.rename_stmt->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_ATTRIBUTE;
  if (!type && !(index && names.unnamed_before(context.index())))
    schema::walk(schema::content(&node), [&](const schema::Message* message) {
      const auto* relation = as<PgQuery__RangeVar>(message);
      if (relation == nullptr || !text_of(relation->catalogname).empty()) return true;
      const QualifiedName name = schema::name_of(*relation);
      if (name.schema.empty() && std::ranges::find(queries, name.name) != queries.end()) return true;
      const auto begin = static_cast<std::size_t>(std::max(0, relation->location));
      add_table(context, name, context.statement.name_at(begin), out);
      return true;
    });
  in_lists(context, out);
  if (out.empty()) unknown_columns(context, out);
  for (Match& match : out)
    if (match.range.size() == 0) match.range = {0, context.statement.text().size()};
  return out;
}

const schema::Catalog& example_catalog() {
  static const schema::Catalog catalog = [] {
    schema::Catalog made;
    schema::Table orders{.schema = "public", .name = "orders"};
    orders.columns = {{.attnum = 1, .name = "id", .type = "bigint"},
                      {.attnum = 2, .name = "status", .type = "text"}};
    made.tables = {orders};
    return made;
  }();
  return catalog;
}

const std::set<std::string, std::less<>>& example_relations() {
  static const std::set<std::string, std::less<>> names{"orders"};
  return names;
}

}  // namespace

const Rule& unknown_name() {
  static const Rule rule{
      .id = "unknown_name",
      .title = "a table, column or constraint that the database does not have",
      .reason =
          "The statement fails when it runs (42P01, 42703, 42704): the deployment stops there, and what "
          "stands "
          "before "
          "it outside the transaction is done. Looked for with a database only; what the script makes before "
          "is known, and behind a DO block, an extension or a call of your own functions nothing is said.",
      .fix = "Correct the name. Where another file makes it first, name that file in the same run.",
      .bad = {"CREATE INDEX CONCURRENTLY orders_status ON ordres (status);",
              "UPDATE orders SET statsu = 'new' WHERE id = 7;",
              "ALTER TABLE orders ALTER COLUMN state SET DEFAULT 'new';",
              "COMMENT ON COLUMN orders.stauts IS 'open or done';", "SELECT o.sum FROM orders o;",
              "ALTER TABLE shop.orders ADD COLUMN note text;"},
      .good = {"ALTER TABLE orders ADD COLUMN note text;\nCOMMENT ON COLUMN orders.note IS 'for the picker';",
               "CREATE TABLE notes (id bigint);\nINSERT INTO notes (id) VALUES (7);",
               "ALTER TABLE IF EXISTS ordres ADD COLUMN note text;",
               "WITH late AS (SELECT id FROM orders) SELECT id FROM late;"},
      .check = check,
      .examples = {.catalog = &example_catalog(), .relations = &example_relations()}};
  return rule;
}

}  // namespace poundlock::lint
