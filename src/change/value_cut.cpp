#include "change/value_cut.h"

#include <fmt/format.h>

#include <set>

#include "change/type_facts.h"
#include "schema/sql.h"
#include "schema/tree.h"

namespace poundlock::change {
namespace {

using schema::as;
using ColumnTypes = std::vector<std::pair<std::string, std::string>>;

// "character varying(8)" of a cast to it; "" where the type has no length.
std::string limited_type(const PgQuery__TypeCast& cast) {
  const auto names = schema::strings(cast.type_name->names, cast.type_name->n_names);
  if (names.empty() || cast.type_name->n_typmods == 0) return {};
  static const std::vector<std::pair<std::string_view, std::string_view>> kLimited{
      {"varchar", "varchar"}, {"bpchar", "char"}, {"bit", "bit"}, {"varbit", "varbit"}};
  for (const auto& [catalog, written] : kLimited) {
    if (names.back() != catalog) continue;
    const auto* length = as<PgQuery__AConst>(cast.type_name->typmods[0]);
    const int value =
        length != nullptr && length->val_case == PG_QUERY__A__CONST__VAL_IVAL ? length->ival->ival : 1;
    return fmt::format("{}({})", written, value);
  }
  return {};
}

bool says_so(const PgQuery__FuncCall& call) {
  static const std::set<std::string_view> kCuts{"left", "right", "substr", "substring", "lpad", "rpad"};
  return kCuts.contains(schema::name_of(call.funcname, call.n_funcname).name);
}

// Does the value hold a column's that may be too long for `type`?
bool may_be_longer(const PgQuery__Node* value, const std::string& type, const ColumnTypes& column_types) {
  bool found = false;
  schema::walk(schema::content(value), [&](const schema::Message* message) {
    if (const auto* call = as<PgQuery__FuncCall>(message); call != nullptr && says_so(*call)) return false;
    if (const auto* inner = as<PgQuery__TypeCast>(message))
      if (const std::string limited = limited_type(*inner);
          !limited.empty() && assignment_is_safe(limited, type))
        return false;
    const auto* column = as<PgQuery__ColumnRef>(message);
    if (column == nullptr) return !found;
    const auto names = schema::strings(column->fields, column->n_fields);
    for (const auto& [name, from] : column_types) {
      if (names.empty() || names.back() != name) continue;
      const bool has_length = is_textual(from) || !whole_type(from).empty();
      found = found || (has_length && !assignment_is_safe(from, type));
    }
    return !found;
  });
  return found;
}

}  // namespace

std::string cutting_cast(const schema::Expression& expression, const ColumnTypes& column_types) {
  const auto statement = schema::parse_statement("SELECT " + expression.text);
  if (!statement) return {};
  std::string out;
  schema::walk(schema::content(statement->node()), [&](const schema::Message* message) {
    const auto* cast = as<PgQuery__TypeCast>(message);
    if (cast == nullptr || !out.empty()) return out.empty();
    const std::string type = limited_type(*cast);
    if (!type.empty() && may_be_longer(cast->arg, type, column_types)) out = type;
    return out.empty();
  });
  return out;
}

}  // namespace poundlock::change
