#include "engine/checks/path_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "schema/references.h"
#include "schema/tree.h"

namespace poundlock::engine {
namespace {

constexpr int kParametersMax = 65'535;

using Kind = ParameterUse::Kind;
using schema::as;
using schema::Message;

// Those in an expression, in its order: $1, lower($1), ($1)::text.
std::vector<int> parameters_in(const Message* message) {
  std::vector<int> found;
  schema::walk(message, [&](const Message* one) {
    if (const auto* parameter = as<PgQuery__ParamRef>(one)) found.push_back(parameter->number);
    return as<PgQuery__SelectStmt>(one) == nullptr;
  });
  return found;
}

std::string column_in(const Message* message) {
  std::string found;
  schema::walk(message, [&](const Message* one) {
    const auto* column = as<PgQuery__ColumnRef>(one);
    if (column != nullptr && found.empty() && column->n_fields > 0)
      found = schema::strings(column->fields, column->n_fields).back();
    return found.empty() && as<PgQuery__SelectStmt>(one) == nullptr;
  });
  return found;
}

class Reader {
 public:
  explicit Reader(PathShape& shape) : shape_(shape) {}

  void read(const Message* root) {
    schema::walk(root, [&](const Message* one) {
      if (const auto* parameter = as<PgQuery__ParamRef>(one))
        shape_.highest = std::max(shape_.highest, static_cast<int>(parameter->number));
      if (const auto* insert = as<PgQuery__InsertStmt>(one)) inserted(*insert);
      if (const auto* update = as<PgQuery__UpdateStmt>(one)) set(update->target_list, update->n_target_list);
      if (const auto* select = as<PgQuery__SelectStmt>(one)) {
        use(parameters_in(schema::content(select->limit_count)), {Kind::kLimit, ""});
        use(parameters_in(schema::content(select->limit_offset)), {Kind::kOffset, ""});
      }
      if (const auto* expression = as<PgQuery__AExpr>(one)) compared(*expression);
      return true;
    });
  }

 private:
  // What was understood first stays: `status = $1` of a SET is a comparison to nobody.
  void use(const std::vector<int>& numbers, const ParameterUse& what) {
    for (const int number : numbers) shape_.parameters.emplace(number, what);
  }

  void set(PgQuery__Node* const* targets, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto* target = as<PgQuery__ResTarget>(targets[i]);
      if (target == nullptr) continue;
      use(parameters_in(schema::content(target->val)),
          {Kind::kSet, std::string(schema::text_of(target->name))});
    }
  }

  void inserted(const PgQuery__InsertStmt& insert) {
    const auto* values = as<PgQuery__SelectStmt>(insert.select_stmt);
    if (values == nullptr) return;
    for (std::size_t row = 0; row < values->n_values_lists; ++row) {
      const auto* list = as<PgQuery__List>(values->values_lists[row]);
      shape_.inserts = true;
      for (std::size_t i = 0; list != nullptr && i < list->n_items && i < insert.n_cols; ++i) {
        const auto* column = as<PgQuery__ResTarget>(insert.cols[i]);
        if (column == nullptr) continue;
        use(parameters_in(schema::content(list->items[i])),
            {Kind::kInserted, std::string(schema::text_of(column->name))});
      }
    }
    if (insert.on_conflict_clause != nullptr)
      set(insert.on_conflict_clause->target_list, insert.on_conflict_clause->n_target_list);
  }

  void compared(const PgQuery__AExpr& expression) {
    const bool any = expression.kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY ||
                     expression.kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL;
    const Message* left = schema::content(expression.lexpr);
    const Message* right = schema::content(expression.rexpr);
    if (const std::string column = column_in(left); !column.empty())
      use(parameters_in(right), {any ? Kind::kAny : Kind::kCompared, column});
    if (const std::string column = column_in(right); !column.empty() && !any)
      use(parameters_in(left), {Kind::kCompared, column});
  }

  PathShape& shape_;
};

struct Output {
  std::string name;    // as the client sees it; "" where it is no plain column
  std::string column;  // of a plain column
};

std::vector<Output> outputs_of(const PgQuery__SelectStmt& select) {
  const PgQuery__SelectStmt* first = &select;
  while (first->larg != nullptr) first = first->larg;  // a UNION has its first one's names
  std::vector<Output> out;
  for (std::size_t i = 0; i < first->n_target_list; ++i) {
    const auto* target = as<PgQuery__ResTarget>(first->target_list[i]);
    Output one;
    if (target != nullptr) {
      if (const auto* column = as<PgQuery__ColumnRef>(target->val))
        one.column = schema::strings(column->fields, column->n_fields).back();
      one.name = std::string(schema::text_of(target->name));
      if (one.name.empty()) one.name = one.column;
    }
    out.push_back(std::move(one));
  }
  return out;
}

// Names of outputs come before names of columns, as PostgreSQL takes them.
std::optional<std::size_t> output_of(const PgQuery__Node* key, const std::vector<Output>& outputs) {
  if (const auto* constant = as<PgQuery__AConst>(key)) {
    if (constant->val_case != PG_QUERY__A__CONST__VAL_IVAL) return std::nullopt;
    const auto position = static_cast<std::size_t>(std::max(0, constant->ival->ival));
    return position >= 1 && position <= outputs.size() ? std::optional(position - 1) : std::nullopt;
  }
  const auto* column = as<PgQuery__ColumnRef>(key);
  if (column == nullptr || column->n_fields == 0) return std::nullopt;
  const std::string name = schema::strings(column->fields, column->n_fields).back();
  for (const bool by_name : {true, false}) {
    if (by_name && column->n_fields > 1) continue;
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (!name.empty() && (by_name ? outputs[i].name : outputs[i].column) == name) return i;
  }
  return std::nullopt;
}

// PostgreSQL's own, and those of its contrib modules, by which no two answers are alike. A function of the
// application may be one too: that cannot be seen from its name.
constexpr std::string_view kByThemselves[] = {"age",
                                              "clock_timestamp",
                                              "gen_random_bytes",
                                              "gen_random_uuid",
                                              "nextval",
                                              "now",
                                              "pg_current_xact_id",
                                              "random",
                                              "random_normal",
                                              "statement_timestamp",
                                              "timeofday",
                                              "transaction_timestamp",
                                              "txid_current",
                                              "uuid_generate_v1",
                                              "uuid_generate_v1mc",
                                              "uuid_generate_v4",
                                              "uuidv4",
                                              "uuidv7"};

bool changes_by_itself(const Message* expression) {
  bool found = false;
  schema::walk(expression, [&](const Message* one) {
    found = found || as<PgQuery__SQLValueFunction>(one) != nullptr;
    if (const auto* call = as<PgQuery__FuncCall>(one); call != nullptr && call->n_funcname > 0) {
      const std::string name = schema::strings(call->funcname, call->n_funcname).back();
      found = found ||
              std::find(std::begin(kByThemselves), std::end(kByThemselves), name) != std::end(kByThemselves);
    }
    return !found;
  });
  return found;
}

void read_by_itself(const PgQuery__SelectStmt& select, PathShape& shape) {
  if (select.larg != nullptr) return;
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < select.n_target_list; ++i) {
    const auto* target = as<PgQuery__ResTarget>(select.target_list[i]);
    if (target == nullptr) return;
    const auto* column = as<PgQuery__ColumnRef>(target->val);
    if (column != nullptr && column->n_fields > 0 &&
        as<PgQuery__AStar>(column->fields[column->n_fields - 1]) != nullptr)
      return;
    if (changes_by_itself(schema::content(target->val))) found.push_back(i);
  }
  shape.by_itself = std::move(found);
}

void read_order(const PgQuery__SelectStmt& select, PathShape& shape) {
  shape.limited = select.limit_count != nullptr || select.limit_offset != nullptr;
  shape.ordered = select.n_sort_clause > 0;
  const auto outputs = outputs_of(select);
  for (std::size_t i = 0; i < select.n_sort_clause; ++i) {
    const auto* sort = as<PgQuery__SortBy>(select.sort_clause[i]);
    const auto output = sort == nullptr ? std::nullopt : output_of(sort->node, outputs);
    if (output) shape.order_outputs.push_back(*output);
  }
  shape.order_is_output = shape.order_outputs.size() == select.n_sort_clause;
}

}  // namespace

Result<PathShape> shape_of(std::string_view sql, const std::vector<schema::QualifiedName>& tables) {
  PL_TRY(const auto statement, schema::parse_statement(sql));
  PathShape shape;
  const Message* root = schema::content(statement.node());
  Reader(shape).read(root);
  if (const auto* select = as<PgQuery__SelectStmt>(root)) {
    read_order(*select, shape);
    read_by_itself(*select, shape);
  }
  const auto references = schema::references(statement);
  // Each is named in what is sent to the server, and its protocol counts them in two bytes.
  if (shape.highest > kParametersMax)
    return fail(user_error("path.parameters", fmt::format("${} is no parameter: a statement has at most {}",
                                                          shape.highest, kParametersMax)));
  shape.writes = references.writes;
  const auto of_the_change = [&](const std::vector<schema::QualifiedName>& names) {
    std::vector<std::string> out;
    for (const auto& name : names) {
      const bool known = std::any_of(tables.begin(), tables.end(), [&](const auto& table) {
        return table.name == name.name && (name.schema.empty() || table.schema == name.schema);
      });
      if (known && std::find(out.begin(), out.end(), name.to_sql()) == out.end())
        out.push_back(name.to_sql());
    }
    return out;
  };
  shape.star = of_the_change(references.star);
  shape.whole_row = of_the_change(references.whole_row);
  shape.unlisted = of_the_change(references.inserts_unlisted);
  return shape;
}

}  // namespace poundlock::engine
