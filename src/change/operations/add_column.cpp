// add_column: a nullable column, with a constant default where wanted. Ends after the expand.
#include <fmt/format.h>

#include "change/operation.h"
#include "change/table_sql.h"

namespace poundlock::change {
namespace {

using schema::force_quote_identifier;

class AddColumn final : public Operation {
 public:
  yaml::Node table, name, type;
  std::optional<yaml::Node> default_expr;

  Profile profile() const override { return Profile::kAdditive; }
  std::string title() const override {
    return fmt::format("{}: new column {} {}", table.scalar, name.scalar, type.scalar);
  }

  Result<OperationPlan> plan(const schema::Catalog& catalog, std::string_view) const override {
    PL_TRY(const schema::Table* found, find_table(catalog, table.scalar, table));
    PL_TRY(const std::string column, new_name(name.scalar, name));
    PL_CHECK(check_column_free(*found, column, name));
    PL_TRY(const std::string sql_type, check_type(catalog, type.scalar, type));
    std::string suffix;
    if (default_expr) {
      PL_TRY(const std::string constant, check_constant(default_expr->scalar, *default_expr));
      suffix = " DEFAULT " + constant;
    }
    const auto qualified = found->qualified();
    Step step;
    step.id = "dual_write.add_column";
    step.phase = Phase::kDualWrite;
    step.kind = StepKind::kTransaction;
    step.title = fmt::format("add column {} {} to {}", column, sql_type, qualified.to_sql());
    step.sql = {fmt::format("ALTER TABLE {} ADD COLUMN {} {}{}", quoted_table(qualified),
                            force_quote_identifier(column), sql_type, suffix)};
    step.probe = column_probe(qualified, column, sql_type);
    step.undo = {fmt::format("ALTER TABLE {} DROP COLUMN IF EXISTS {}", quoted_table(qualified),
                             force_quote_identifier(column))};
    step.relation = quoted_table(qualified);
    step.lock_mode = "AccessExclusiveLock";
    step.statement_timeout = Millis{10'000};
    step.blocks_writers = true;
    OperationPlan plan;
    plan.steps = {std::move(step)};
    plan.fresh = {{qualified.schema, qualified.name, column}};
    return plan;
  }
};

Result<yaml::Node> text_node(yaml::Fields& fields, std::string_view key) {
  PL_TRY(const yaml::Node* node, fields.required(key));
  PL_CHECK(node->as_string(key));
  return *node;
}

Result<std::unique_ptr<Operation>> parse(const yaml::Node& node) {
  PL_TRY(auto fields, yaml::Fields::of(node, "add_column"));
  auto operation = std::make_unique<AddColumn>();
  PL_TRY(operation->table, text_node(fields, "table"));
  PL_TRY(const yaml::Node* column, fields.required("column"));
  PL_TRY(auto parts, yaml::Fields::of(*column, "column"));
  PL_TRY(operation->name, text_node(parts, "name"));
  PL_TRY(operation->type, text_node(parts, "type"));
  if (const yaml::Node* value = parts.optional("default")) {
    if (value->kind != yaml::Kind::kScalar)
      return fail(value->error("change.bad_default", "default: expected SQL"));
    operation->default_expr = *value;
  }
  PL_CHECK(parts.finish());
  PL_CHECK(fields.finish());
  return std::unique_ptr<Operation>(std::move(operation));
}

}  // namespace

const OperationKind& add_column() {
  static const OperationKind kind{.name = "add_column",
                                  .summary = "adds a nullable column, which no application has to know about",
                                  .example = "table: orders\ncolumn: {name: note, type: text}\n",
                                  .parse = &parse};
  return kind;
}

}  // namespace poundlock::change
