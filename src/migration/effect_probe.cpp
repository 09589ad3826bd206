#include "migration/effect_probe.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/tree.h"

namespace poundlock::migration {

using schema::QualifiedName;
using schema::quote_literal;

// A row of `catalog` whose `name` column is this and whose namespace is that.
std::string named_probe(std::string_view catalog, std::string_view prefix, const QualifiedName& name,
                        std::string_view more) {
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.{0} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{1}namespace "
      "WHERE "
      "n.nspname = {2} AND o.{1}name = {3}{4})",
      catalog, prefix, quote_literal(name.schema), quote_literal(name.name), more);
}

std::string type_probe(const QualifiedName& name, std::string_view more) {
  return named_probe("pg_type", "typ", name, more);
}

std::string simple_probe(std::string_view catalog, std::string_view column, std::string_view name) {
  return fmt::format("SELECT EXISTS (SELECT FROM pg_catalog.{} o WHERE o.{} = {})", catalog, column,
                     quote_literal(name));
}

std::string negated(const std::string& probe) {
  return fmt::format("SELECT NOT ({})", probe);
}

std::string on_table_probe(std::string_view catalog, std::string_view prefix, const QualifiedName& table,
                           std::string_view name, std::string_view more) {
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.{0} o JOIN pg_catalog.pg_class c ON c.oid = o.{1}relid JOIN "
      "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {2} AND c.relname = {3} AND "
      "o.{1}name = {4}{5})",
      catalog, prefix, quote_literal(table.schema), quote_literal(table.name), quote_literal(name), more);
}

std::string both(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return a + b;
  return fmt::format("SELECT ({}) AND ({})", a, b);
}

std::string relation_probe(const QualifiedName& name, std::string_view more) {
  return named_probe("pg_class", "rel", name, more);
}

std::string is_type(std::string_view oid, const PgQuery__TypeName& type) {
  std::string name = schema::name_of(type.names, type.n_names).name;
  constexpr std::pair<std::string_view, std::string_view> kSerials[] = {
      {"serial", "int4"},  {"serial4", "int4"},     {"bigserial", "int8"},
      {"serial8", "int8"}, {"smallserial", "int2"}, {"serial2", "int2"}};
  for (const auto& [serial, integer] : kSerials)
    if (name == serial) name = integer;
  if (type.pct_type || name.empty()) return "true";
  return fmt::format("(SELECT y.typname FROM pg_catalog.pg_type y WHERE y.oid = {}) = {}", oid,
                     quote_literal((type.n_array_bounds > 0 ? "_" : "") + name));
}

}  // namespace poundlock::migration
