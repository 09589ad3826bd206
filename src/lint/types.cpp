#include "lint/types.h"

#include <algorithm>
#include <cstdlib>

#include "schema/sql.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::text_of;

constexpr std::string_view kSteadyFunctions[] = {"abs",
                                                 "array_fill",
                                                 "btrim",
                                                 "ceil",
                                                 "concat",
                                                 "concat_ws",
                                                 "current_setting",
                                                 "date_trunc",
                                                 "daterange",
                                                 "decode",
                                                 "encode",
                                                 "floor",
                                                 "format",
                                                 "int4range",
                                                 "int8range",
                                                 "json_build_array",
                                                 "json_build_object",
                                                 "jsonb_build_array",
                                                 "jsonb_build_object",
                                                 "left",
                                                 "length",
                                                 "lower",
                                                 "lpad",
                                                 "ltrim",
                                                 "make_date",
                                                 "make_interval",
                                                 "make_timestamp",
                                                 "make_timestamptz",
                                                 "md5",
                                                 "now",
                                                 "numrange",
                                                 "point",
                                                 "replace",
                                                 "right",
                                                 "round",
                                                 "rpad",
                                                 "rtrim",
                                                 "statement_timestamp",
                                                 "timezone",
                                                 "to_char",
                                                 "to_date",
                                                 "to_json",
                                                 "to_jsonb",
                                                 "to_number",
                                                 "to_timestamp",
                                                 "transaction_timestamp",
                                                 "trunc",
                                                 "tsrange",
                                                 "tstzrange",
                                                 "upper"};

constexpr std::string_view kSerials[] = {"bigserial", "serial",  "serial2",
                                         "serial4",   "serial8", "smallserial"};

// Is `to` the same type with room for everything that `from` holds?
bool grows(const TypeSpec& from, const TypeSpec& to) {
  if (to.mods.empty()) return true;
  if (from.mods.empty()) return false;
  return to.mods[0] >= from.mods[0];
}

bool numeric_grows(const TypeSpec& from, const TypeSpec& to) {
  if (to.mods.empty()) return true;
  if (from.mods.empty()) return false;
  const auto scale = [](const TypeSpec& type) { return type.mods.size() > 1 ? type.mods[1] : 0; };
  return to.mods[0] >= from.mods[0] && scale(to) == scale(from);
}

}  // namespace

TypeSpec type_spec(const PgQuery__TypeName& type) {
  TypeSpec spec;
  const schema::QualifiedName name = schema::name_of(type.names, type.n_names);
  // A type of another schema is its own type, whatever it is called.
  const bool built_in = name.schema.empty() || name.schema == "pg_catalog";
  spec.name = built_in ? name.name : name.to_sql();
  for (std::size_t i = 0; i < type.n_typmods; ++i) {
    const auto* constant = as<PgQuery__AConst>(type.typmods[i]);
    if (constant != nullptr && constant->val_case == PG_QUERY__A__CONST__VAL_IVAL)
      spec.mods.push_back(constant->ival->ival);
    else
      spec.mods.push_back(0);
  }
  spec.array = type.n_array_bounds > 0;
  return spec;
}

std::optional<TypeSpec> type_spec(std::string_view sql) {
  const auto statement = schema::parse_statement("SELECT NULL::" + std::string(sql));
  if (!statement) return std::nullopt;
  std::optional<TypeSpec> spec;
  schema::walk(schema::content(statement->node()), [&](const schema::Message* message) {
    if (const auto* type = as<PgQuery__TypeName>(message); type != nullptr && !spec) spec = type_spec(*type);
    return !spec;
  });
  return spec;
}

bool changes_without_rewrite(const TypeSpec& from, const TypeSpec& to) {
  if (from == to) return true;
  if (from.array || to.array) return false;
  if (from.name == to.name) {
    if (from.name == "numeric") return numeric_grows(from, to);
    for (const std::string_view sized : {"varchar", "varbit", "timestamp", "timestamptz", "time", "timetz"})
      if (from.name == sized) return grows(from, to);
    return false;
  }
  if (from.name == "varchar" && to.name == "text") return true;
  if (from.name == "text" && to.name == "varchar") return to.mods.empty();
  return from.name == "cidr" && to.name == "inet";
}

bool may_be_volatile(const PgQuery__Node* expression) {
  bool found = false;
  schema::walk(schema::content(expression), [&](const schema::Message* message) {
    const auto* call = as<PgQuery__FuncCall>(message);
    if (call == nullptr) return !found;
    const schema::QualifiedName name = schema::name_of(call->funcname, call->n_funcname);
    const bool built_in = name.schema.empty() || name.schema == "pg_catalog";
    if (!built_in || std::ranges::find(kSteadyFunctions, name.name) == std::end(kSteadyFunctions))
      found = true;
    return !found;
  });
  return found;
}

ColumnTraits column_traits(const PgQuery__ColumnDef& column) {
  ColumnTraits traits;
  if (column.type_name != nullptr) {
    const std::string name = type_spec(*column.type_name).name;
    traits.serial = std::ranges::find(kSerials, name) != std::end(kSerials);
  }
  for (std::size_t i = 0; i < column.n_constraints; ++i) {
    const auto* constraint = as<PgQuery__Constraint>(column.constraints[i]);
    if (constraint == nullptr) continue;
    switch (constraint->contype) {
      case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL: traits.not_null = true; break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT: traits.default_expr = constraint->raw_expr; break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED: traits.generated = true; break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY: traits.identity = true; break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK: traits.check = true; break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY: traits.primary = traits.unique = true; break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE: traits.unique = true; break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN: traits.references = true; break;
      default: break;
    }
  }
  traits.volatile_default = traits.default_expr != nullptr && may_be_volatile(traits.default_expr);
  return traits;
}

}  // namespace poundlock::lint
