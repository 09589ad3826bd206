// create_index: an index built while writers go on. Ends after the expand.
#include <fmt/format.h>

#include "change/column_steps.h"
#include "change/operation.h"
#include "change/table_sql.h"

namespace poundlock::change {
namespace {

using schema::force_quote_identifier;

class CreateIndex final : public Operation {
 public:
  yaml::Node table, name;
  std::vector<yaml::Node> columns;
  std::optional<yaml::Node> where;
  bool unique = false;

  Profile profile() const override { return Profile::kAdditive; }
  std::string title() const override { return fmt::format("{}: new index {}", table.scalar, name.scalar); }

  Result<OperationPlan> plan(const schema::Catalog& catalog, std::string_view) const override {
    PL_TRY(const schema::Table* found, find_table(catalog, table.scalar, table));
    PL_TRY(const std::string index, new_name(name.scalar, name));
    PL_CHECK(check_relation_free(catalog, found->schema, index, name));
    if (found->kind == 'p') {
      return fail(
          table
              .error("change.partitioned_index", fmt::format("{} is partitioned: no index can be built "
                                                             "concurrently on it",
                                                             found->qualified().to_sql()))
              .with_hint(
                  "create it on each partition by a rollout of its own, then attach them to an index ON "
                  "ONLY the parent"));
    }
    std::vector<std::string> names;
    for (const auto& column : columns) {
      PL_TRY(const schema::Column* known, find_column(*found, column.scalar, column));
      names.push_back(known->name);
    }
    std::string suffix;
    if (where) {
      auto condition = schema::parse_expression(where->scalar);
      if (!condition) return fail(in_file(std::move(condition).error(), *where, "where"));
      for (const auto& column : condition->columns) PL_CHECK(find_column(*found, column.name, *where));
      suffix = " WHERE " + condition->text;
    }
    const auto qualified = found->qualified();
    Step step = index_step(
        "dual_write.index_" + index, Phase::kDualWrite, qualified, index,
        fmt::format("CREATE {}INDEX CONCURRENTLY {} ON {} {}{}", unique ? "UNIQUE " : "",
                    force_quote_identifier(index), quoted_table(qualified), column_list(names), suffix));
    // Unlike an index on a new column, this one does not go with anything else.
    step.undo = {fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}.{}",
                             force_quote_identifier(qualified.schema), force_quote_identifier(index))};
    step.undo_standalone = true;
    step.undo_when = index_there_probe(qualified, index);
    OperationPlan plan;
    plan.steps = {std::move(step)};
    return plan;
  }
};

Result<yaml::Node> text_node(yaml::Fields& fields, std::string_view key) {
  PL_TRY(const yaml::Node* node, fields.required(key));
  PL_CHECK(node->as_string(key));
  return *node;
}

Result<std::unique_ptr<Operation>> parse(const yaml::Node& node) {
  PL_TRY(auto fields, yaml::Fields::of(node, "create_index"));
  auto operation = std::make_unique<CreateIndex>();
  PL_TRY(operation->table, text_node(fields, "table"));
  PL_TRY(operation->name, text_node(fields, "name"));
  PL_TRY(const yaml::Node* columns, fields.required("columns"));
  if (columns->kind != yaml::Kind::kSequence || columns->items.empty()) {
    return fail(columns->error("change.bad_index", "columns: expected a list of column names"));
  }
  for (const auto& item : columns->items) {
    PL_CHECK(item.as_string("columns"));
    operation->columns.push_back(item);
  }
  if (const yaml::Node* unique = fields.optional("unique")) {
    PL_TRY(operation->unique, unique->as_bool("unique"));
  }
  if (const yaml::Node* where = fields.optional("where")) {
    PL_CHECK(where->as_string("where"));
    operation->where = *where;
  }
  PL_CHECK(fields.finish());
  return std::unique_ptr<Operation>(std::move(operation));
}

}  // namespace

const OperationKind& create_index() {
  static const OperationKind kind{
      .name = "create_index",
      .summary = "builds an index while writers go on",
      .example = "table: orders\nname: idx_orders_customer\ncolumns: [customer_id]\n",
      .parse = &parse};
  return kind;
}

}  // namespace poundlock::change
