// A plan as a rollout file, where its changes are operations of a rollout.
#include <fmt/format.h>

#include "lint/context.h"
#include "migration/safe_form.h"
#include "migration/write.h"
#include "schema/sql.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

std::string yaml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : in_one_line(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// "" where the statement is no operation.
std::string create_index(const PgQuery__IndexStmt& index, const schema::Statement& statement) {
  if (schema::text_of(index.idxname).empty() || !index.relation->inh || index.n_index_including_params > 0 ||
      index.n_options > 0 || index.nulls_not_distinct || !schema::text_of(index.table_space).empty() ||
      (!schema::text_of(index.access_method).empty() && schema::text_of(index.access_method) != "btree"))
    return "";
  std::string columns;
  for (std::size_t i = 0; i < index.n_index_params; ++i) {
    const auto* element = schema::as<PgQuery__IndexElem>(index.index_params[i]);
    if (element == nullptr || schema::text_of(element->name).empty() || element->n_opclass > 0 ||
        element->n_collation > 0 || element->ordering > PG_QUERY__SORT_BY_DIR__SORTBY_DEFAULT ||
        element->nulls_ordering > PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT)
      return "";
    columns += (i == 0 ? "" : ", ") + yaml_quoted(schema::text_of(element->name));
  }
  std::string out = fmt::format("  - create_index:\n      table: {}\n      name: {}\n      columns: [{}]\n",
                                yaml_quoted(schema::name_of(*index.relation).to_sql()),
                                yaml_quoted(schema::text_of(index.idxname)), columns);
  if (index.unique) out += "      unique: true\n";
  if (index.where_clause != nullptr) {
    const auto where = statement.words({"WHERE"});
    out += fmt::format("      where: {}\n",
                       yaml_quoted(statement.text().substr(std::min(where.end, statement.text().size()))));
  }
  return out;
}

std::string add_column(const schema::Statement& statement) {
  std::string out;
  lint::each_action(statement, [&](const lint::Action& action) {
    const auto* column = schema::as<PgQuery__ColumnDef>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn || column == nullptr ||
        column->n_constraints > 0 || column->type_name == nullptr)
      return;
    const std::string type(statement.slice(
        {static_cast<std::size_t>(std::max(0, column->type_name->location)), action.range.end}));
    out += fmt::format("  - add_column:\n      table: {}\n      column: {{name: {}, type: {}}}\n",
                       yaml_quoted(action.table.to_sql()), yaml_quoted(schema::text_of(column->colname)),
                       yaml_quoted(type));
  });
  return out;
}

std::string operation_of(const SqlStep& one) {
  if (one.step.sql.empty()) return "";
  const auto statement = schema::parse_statement(one.step.sql.back());
  if (!statement) return "";
  if (const auto* index = schema::as<PgQuery__IndexStmt>(statement->node()))
    return create_index(*index, *statement);
  return statement->kind() == schema::StatementKind::kAlterTable ? add_column(*statement) : "";
}

}  // namespace

Result<std::vector<WrittenFile>> write_rollout(const SqlPlan& plan, const WriteOptions& options) {
  if (plan.steps.empty() && plan.decisions.size() == 1 && !plan.decisions.front().rollout.empty())
    return std::vector<WrittenFile>{{"", plan.decisions.front().rollout}};
  if (!plan.decisions.empty())
    return fail(
        user_error("plan.decisions", "a rollout file holds one change, and this is more than one of them")
            .with_hint("plan each statement by itself, or write the parts that need no decision"));
  std::string text = fmt::format("rollout: {}\nchange:\n", in_one_line(options.name));
  for (const auto& one : plan.steps) {
    const std::string operation = operation_of(one);
    if (operation.empty())
      return fail(user_error("plan.not_a_rollout",
                             fmt::format("no operation of a rollout does this: {}", one.step.title))
                      .with_hint("--format flyway, liquibase, alembic, rails or sql holds any step"));
    text += operation;
  }
  if (plan.steps.empty()) return fail(user_error("plan.empty", "there is no step to write"));
  return std::vector<WrittenFile>{{"", std::move(text)}};
}

}  // namespace poundlock::migration
