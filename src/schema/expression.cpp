#include "schema/expression.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/sql.h"
#include "schema/text.h"
#include "schema/tree.h"

namespace poundlock::schema {
namespace {

// What PostgreSQL ships and what makes no sense on one row. A user's own aggregate is caught by the catalog.
constexpr std::string_view kAggregates[] = {"any_value",
                                            "array_agg",
                                            "avg",
                                            "bit_and",
                                            "bit_or",
                                            "bit_xor",
                                            "bool_and",
                                            "bool_or",
                                            "corr",
                                            "count",
                                            "covar_pop",
                                            "covar_samp",
                                            "every",
                                            "grouping",
                                            "json_agg",
                                            "json_object_agg",
                                            "jsonb_agg",
                                            "jsonb_object_agg",
                                            "max",
                                            "min",
                                            "mode",
                                            "percentile_cont",
                                            "percentile_disc",
                                            "range_agg",
                                            "range_intersect_agg",
                                            "regr_avgx",
                                            "regr_avgy",
                                            "regr_count",
                                            "regr_intercept",
                                            "regr_r2",
                                            "regr_slope",
                                            "regr_sxx",
                                            "regr_sxy",
                                            "regr_syy",
                                            "stddev",
                                            "stddev_pop",
                                            "stddev_samp",
                                            "string_agg",
                                            "sum",
                                            "var_pop",
                                            "var_samp",
                                            "variance",
                                            "xmlagg"};
constexpr std::string_view kSetReturning[] = {"generate_series",
                                              "generate_subscripts",
                                              "json_array_elements",
                                              "json_array_elements_text",
                                              "json_each",
                                              "json_each_text",
                                              "json_object_keys",
                                              "jsonb_array_elements",
                                              "jsonb_array_elements_text",
                                              "jsonb_each",
                                              "jsonb_each_text",
                                              "jsonb_object_keys",
                                              "regexp_matches",
                                              "regexp_split_to_table",
                                              "string_to_table",
                                              "unnest"};
constexpr std::string_view kChanging[] = {"clock_timestamp",
                                          "currval",
                                          "current_database",
                                          "current_schemas",
                                          "current_setting",
                                          "gen_random_bytes",
                                          "gen_random_uuid",
                                          "inet_client_addr",
                                          "inet_server_addr",
                                          "lastval",
                                          "localtimestamp",
                                          "nextval",
                                          "now",
                                          "pg_backend_pid",
                                          "pg_current_wal_lsn",
                                          "pg_sleep",
                                          "random",
                                          "random_normal",
                                          "set_config",
                                          "setseed",
                                          "setval",
                                          "statement_timestamp",
                                          "timeofday",
                                          "transaction_timestamp",
                                          "txid_current",
                                          "pg_current_xact_id",
                                          "uuid_generate_v1",
                                          "uuid_generate_v1mc",
                                          "uuid_generate_v4",
                                          "uuidv4",
                                          "uuidv7",
                                          "version"};

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

constexpr std::string_view kPrefix = "SELECT ";

class Checker {
 public:
  Checker(const Statement& statement, Expression& expression)
      : statement_(statement), expression_(expression) {}

  Status run(const PgQuery__Node* root) {
    walk(content(root), [&](const Message* message) {
      if (status_) look(message);
      return status_.has_value();
    });
    std::ranges::sort(expression_.columns, {}, [](const auto& column) { return column.range.begin; });
    for (const auto& column : expression_.columns)
      if (std::ranges::find(expression_.column_names, column.name) == expression_.column_names.end())
        expression_.column_names.push_back(column.name);
    return status_;
  }

 private:
  void refuse(std::string code, std::string message, std::string hint, int location) {
    const auto begin = static_cast<std::size_t>(std::max(0, location));
    const LineColumn at = statement_.position(begin);
    const int shift = at.line == 1 ? static_cast<int>(kPrefix.size()) : 0;
    status_ = fail(user_error(std::move(code), std::move(message))
                       .with_hint(std::move(hint))
                       .at({"", at.line, at.column - shift}));
  }
  void refuse_row(std::string what, int location) {
    refuse("schema.not_row_expression", std::move(what) + " cannot be computed from one row",
           "use only the row's columns, constants, operators and immutable functions", location);
  }
  void refuse_changing(std::string_view what, int location) {
    refuse("schema.not_deterministic",
           fmt::format("{} gives another value each time, so that the two sides would never agree", what),
           "use only what depends on the row's columns", location);
  }

  void look(const Message* message) {
    if (const auto* node = as<PgQuery__ColumnRef>(message)) return column(*node);
    if (const auto* node = as<PgQuery__FuncCall>(message)) return function(*node);
    if (const auto* node = as<PgQuery__SQLValueFunction>(message))
      return refuse_changing(words_at(node->location), node->location);
    if (const auto* node = as<PgQuery__SubLink>(message)) return refuse_row("a subquery", node->location);
    if (const auto* node = as<PgQuery__ParamRef>(message)) return refuse_row("a parameter", node->location);
    if (const auto* node = as<PgQuery__GroupingFunc>(message)) return refuse_row("GROUPING", node->location);
    if (const auto* node = as<PgQuery__SetToDefault>(message)) return refuse_row("DEFAULT", node->location);
    if (const auto* node = as<PgQuery__TypeName>(message)) type(*node);
  }

  std::string_view words_at(int location) const {
    const auto begin = static_cast<std::size_t>(std::max(0, location));
    return statement_.slice(statement_.name_at(begin));
  }

  void column(const PgQuery__ColumnRef& node) {
    const auto parts = strings(node.fields, node.n_fields);
    if (as<PgQuery__AStar>(node.fields[node.n_fields - 1]) != nullptr) return refuse_row("*", node.location);
    const ByteRange range = statement_.name_at(static_cast<std::size_t>(std::max(0, node.location)));
    const std::string qualifier = parts.size() > 1 ? parts[parts.size() - 2] : "";
    expression_.columns.push_back(
        {qualifier, parts.back(), {range.begin - kPrefix.size(), range.end - kPrefix.size()}});
  }

  void function(const PgQuery__FuncCall& node) {
    const QualifiedName name = name_of(node.funcname, node.n_funcname);
    const bool built_in = name.schema.empty() || name.schema == "pg_catalog";
    if (node.over != nullptr)
      return refuse_row(fmt::format("the window function {}", name.name), node.location);
    const bool aggregate_syntax = node.agg_star || node.agg_distinct || node.agg_within_group ||
                                  node.agg_filter != nullptr || node.n_agg_order > 0;
    if (aggregate_syntax || (built_in && contains(kAggregates, name.name)))
      return refuse_row(fmt::format("the aggregate {}", name.name), node.location);
    if (built_in && contains(kSetReturning, name.name))
      return refuse_row(fmt::format("{}, which gives several rows,", name.name), node.location);
    if (built_in && contains(kChanging, name.name)) return refuse_changing(name.name + "()", node.location);
    if (std::ranges::find(expression_.functions, name) == expression_.functions.end())
      expression_.functions.push_back(name);
  }

  void type(const PgQuery__TypeName& node) {
    std::string rendered = name_of(node.names, node.n_names).to_sql();
    if (std::ranges::find(expression_.types, rendered) == expression_.types.end())
      expression_.types.push_back(std::move(rendered));
  }

  const Statement& statement_;
  Expression& expression_;
  Status status_;
};

Error not_one(std::string message) {
  return user_error("schema.not_one_expression", std::move(message))
      .with_hint("write one SQL expression on the row's columns, such as lower(legacy_status)");
}

// The parser's places count from the SELECT that we put in front.
Error shifted(Error error) {
  if (error.where && error.where->line == 1)
    error.where->column = std::max(1, error.where->column - static_cast<int>(kPrefix.size()));
  return error;
}

// The one target of `SELECT text`, with nothing else in the SELECT.
Result<const PgQuery__Node*> only_target(const Statement& statement) {
  const auto* select = as<PgQuery__SelectStmt>(statement.node());
  const bool lone = select != nullptr && select->larg == nullptr && select->n_from_clause == 0 &&
                    select->where_clause == nullptr && select->n_group_clause == 0 &&
                    select->having_clause == nullptr && select->n_sort_clause == 0 &&
                    select->limit_count == nullptr && select->limit_offset == nullptr &&
                    select->into_clause == nullptr && select->n_locking_clause == 0 &&
                    select->n_window_clause == 0 && select->n_distinct_clause == 0;
  if (!lone) return fail(not_one("more than an expression: a clause of a SELECT follows it"));
  if (select->n_target_list != 1)
    return fail(not_one(fmt::format("one expression was expected, and there are {}", select->n_target_list)));
  const auto* target = as<PgQuery__ResTarget>(select->target_list[0]);
  if (target == nullptr || target->val == nullptr) return fail(not_one("no expression"));
  if (!text_of(target->name).empty())
    return fail(not_one(fmt::format("an expression has no name of its own, and this one is called {}",
                                    text_of(target->name))));
  return target->val;
}

}  // namespace

Result<Expression> parse_expression(std::string_view text) {
  if (text.size() > kExpressionBytesMax)
    return fail(user_error("schema.too_large", fmt::format("the expression has {} bytes; the limit is {}",
                                                           text.size(), kExpressionBytesMax)));
  Expression expression;
  expression.text = trim(text);
  if (expression.text.empty()) return fail(not_one("the expression is empty"));
  auto script = parse_script(std::string(kPrefix) + expression.text);
  if (!script) return fail(std::move(script).error());
  if (!script->errors.empty()) return fail(shifted(std::move(script->errors.front())));
  // A comment to the line's end would swallow what our statements put behind the expression.
  if (!script->comments.empty()) return fail(not_one("the expression holds a comment"));
  if (script->statements.size() != 1 || expression.text.ends_with(';'))
    return fail(not_one("the expression holds a semicolon"));
  PL_TRY(const PgQuery__Node* root, only_target(script->statements.front()));
  PL_CHECK(Checker(script->statements.front(), expression).run(root));
  return expression;
}

std::string rename_columns(const Expression& expression, const ReplaceColumn& replace) {
  std::string out;
  std::size_t at = 0;
  for (const ExpressionColumn& column : expression.columns) {
    const auto replacement = replace(column);
    if (!replacement) continue;
    out.append(expression.text, at, column.range.begin - at);
    out += *replacement;
    at = column.range.end;
  }
  return out.append(expression.text, at);
}

Result<std::string> rename_columns(std::string_view expression, const ReplaceColumn& replace) {
  PL_TRY(const Expression parsed, parse_expression(expression));
  return rename_columns(parsed, replace);
}

std::string qualify_columns(const Expression& expression, std::string_view qualifier) {
  return rename_columns(expression, [&](const ExpressionColumn& column) -> std::optional<std::string> {
    return fmt::format("{}.{}", qualifier, force_quote_identifier(column.name));
  });
}

Result<std::string> qualify_columns(std::string_view expression, std::string_view qualifier) {
  PL_TRY(const Expression parsed, parse_expression(expression));
  return qualify_columns(parsed, qualifier);
}

}  // namespace poundlock::schema
