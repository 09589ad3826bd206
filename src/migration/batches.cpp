#include "migration/batches.h"

#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;

bool is_ours(const std::string& name, const Names& names) {
  return (names.catalog() != nullptr && names.catalog()->beyond_pg_catalog.contains(name)) ||
         names.book().function_named(name);
}

}  // namespace

std::string needs_search_path(const std::string& sql, const Names& names) {
  std::string found;
  const auto statement = schema::parse_statement(sql);
  if (!statement) return found;
  schema::walk(schema::content(statement->node()), [&](const schema::Message* message) {
    schema::QualifiedName name;
    if (const auto* call = as<PgQuery__FuncCall>(message))
      name = schema::name_of(call->funcname, call->n_funcname);
    else if (const auto* type = as<PgQuery__TypeName>(message))
      name = schema::name_of(type->names, type->n_names);
    if (name.schema.empty() && !name.name.empty() && is_ours(name.name, names)) found = name.name;
    const auto* table = as<PgQuery__RangeVar>(message);
    if (table != nullptr && schema::name_of(*table).schema.empty()) found = schema::name_of(*table).name;
    return found.empty();
  });
  return found;
}

}  // namespace poundlock::migration
