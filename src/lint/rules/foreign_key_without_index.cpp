#include <fmt/format.h>

#include <algorithm>

#include "lint/columns.h"
#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

bool indexed(const Context& context, const schema::QualifiedName& table,
             const std::vector<std::string>& columns) {
  if (context.facts->has_key(table, columns)) return true;
  const schema::Table* known = context.table(table);
  if (known == nullptr) return false;
  return std::ranges::any_of(known->indexes, [&](const schema::Index& index) {
    return index.valid && index.predicate.empty() && index.columns.size() >= columns.size() &&
           std::is_permutation(columns.begin(), columns.end(), index.columns.begin());
  });
}

Match match_of(const Context& context, const schema::QualifiedName& table,
               const std::vector<std::string>& columns, schema::ByteRange range) {
  std::string list;
  std::vector<std::string_view> parts{table.name};
  for (const std::string& column : columns) {
    if (!list.empty()) list += ", ";
    list += schema::quote_identifier(column);
    parts.push_back(column);
  }
  parts.emplace_back("idx");
  const bool made_here = context.statement.kind() == schema::StatementKind::kCreateTable;
  const std::string index =
      fmt::format("CREATE INDEX {}{} ON {} ({});", made_here ? "" : "CONCURRENTLY ",
                  schema::quote_identifier(free_name(context, table, parts)), table.to_sql(), list);
  const schema::Table* known = context.table(table);
  const bool partitioned = known != nullptr && known->kind == 'p';
  const std::string& text = context.statement.text();
  std::string rewrite = made_here ? text + ";\n" + index : index + "\n" + text + ";";
  return {range, fmt::format("no index on {} of {}", list, table_text(table)), partitioned ? "" : rewrite};
}

void in_new_table(const Context& context, const PgQuery__CreateStmt& create, std::vector<Match>& matches) {
  const schema::QualifiedName table = schema::name_of(*create.relation);
  const auto look = [&](const PgQuery__Constraint* constraint, const std::vector<std::string>& columns) {
    if (constraint == nullptr || constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN) return;
    if (indexed(context, table, columns)) return;
    const auto begin = static_cast<std::size_t>(std::max(0, constraint->location));
    matches.push_back(match_of(context, table, columns, context.statement.words({"REFERENCES"}, begin)));
  };
  for (std::size_t i = 0; i < create.n_table_elts; ++i) {
    if (const auto* whole = schema::as<PgQuery__Constraint>(create.table_elts[i]))
      look(whole, schema::strings(whole->fk_attrs, whole->n_fk_attrs));
    const auto* column = schema::as<PgQuery__ColumnDef>(create.table_elts[i]);
    for (std::size_t k = 0; column != nullptr && k < column->n_constraints; ++k)
      look(schema::as<PgQuery__Constraint>(column->constraints[k]),
           {std::string(schema::text_of(column->colname))});
  }
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  if (const auto* create = schema::as<PgQuery__CreateStmt>(context.statement.node()))
    in_new_table(context, *create, matches);
  each_action(context.statement, [&](const Action& action) {
    const auto* constraint = schema::as<PgQuery__Constraint>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint || constraint == nullptr ||
        constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN)
      return;
    const auto columns = schema::strings(constraint->fk_attrs, constraint->n_fk_attrs);
    if (!indexed(context, action.table, columns))
      matches.push_back(match_of(context, action.table, columns, action.range));
  });
  each_added_column(context, [&](const AddedColumn& column) {
    const ColumnPiece* piece = column.piece(PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN);
    if (piece == nullptr || indexed(context, column.action.table, {column.plain_name})) return;
    Match match = match_of(context, column.action.table, {column.plain_name}, piece->range);
    // The column has to be there before its index.
    if (const std::size_t end = match.rewrite.find(";\n"); end != std::string::npos)
      match.rewrite = match.rewrite.substr(end + 2) + "\n" + match.rewrite.substr(0, end + 1);
    matches.push_back(std::move(match));
  });
  return matches;
}

}  // namespace

const Rule& foreign_key_without_index() {
  static const Rule rule{
      .id = "foreign_key_without_index",
      .severity = Severity::kWarning,
      .title = "a foreign key whose columns have no index",
      .reason =
          "PostgreSQL indexes the referenced columns only. Each DELETE or key UPDATE of a referenced row "
          "then "
          "reads the whole referring table while it holds the row's lock.",
      .fix = "Create an index that begins with these columns, CONCURRENTLY, before the foreign key.",
      .bad = {"ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer)\n"
              "REFERENCES customers (id) NOT VALID;",
              "ALTER TABLE orders ADD COLUMN customer_id bigint REFERENCES customers (id);",
              "CREATE TABLE lines (id bigint PRIMARY KEY, \"Order Id\" bigint REFERENCES orders (id));"},
      .good =
          {"CREATE INDEX CONCURRENTLY orders_customer_idx ON orders (customer);\n"
           "ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer)\n"
           "REFERENCES customers (id) NOT VALID;",
           "CREATE TABLE lines (order_id bigint REFERENCES orders (id), n int, PRIMARY KEY (order_id, n));",
           "CREATE TABLE lines (order_id bigint REFERENCES orders (id));\n"
           "CREATE INDEX lines_order ON lines (order_id);"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
