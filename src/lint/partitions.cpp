#include "lint/partitions.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// Deeper than anybody nests partitions; a tree that a damaged catalog makes circular ends here.
constexpr int kLevelsMax = 20;

void each_leaf(const schema::Catalog& catalog, const schema::Table& table, int level,
               const std::function<void(const schema::Table&)>& visit) {
  if (table.kind != 'p') return visit(table);
  if (level == kLevelsMax) return;
  for (const schema::Table& one : catalog.tables)
    if (one.is_partition && one.partition_of == table.qualified()) each_leaf(catalog, one, level + 1, visit);
}

// The words between the parentheses that follow the word: "'a', 'b'" of IN ('a', 'b').
std::string between(const Bounds& bounds, std::string_view word) {
  const schema::Statement& statement = bounds.statement;
  const auto at = schema::find_words(statement.text(), statement.tokens(), {word, "("}, bounds.begin);
  if (!at) return "";
  int depth = 1;
  for (const schema::Token& token : statement.tokens()) {
    if (token.range.begin < at->end) continue;
    const std::string_view text = statement.slice(token.range);
    depth += text == "(" ? 1 : text == ")" ? -1 : 0;
    if (depth == 0) return std::string(statement.slice({at->end, token.range.begin}));
  }
  return "";
}

// The same for both directions: what is between, and its contrary.
std::string condition_of(const Bounds& bounds, const std::string& column, bool inside) {
  const PgQuery__PartitionBoundSpec& spec = bounds.spec;
  if (column.empty() || spec.is_default || schema::text_of(spec.strategy).empty()) return "";
  const std::string name = schema::quote_identifier(column);
  const std::string null = inside ? name + " IS NOT NULL" : name + " IS NULL";
  const char* join = inside ? "AND" : "OR";
  if (spec.strategy[0] == 'l') {
    const std::string values = between(bounds, "IN");
    const bool holds_null =
        schema::find_words(bounds.statement.text(), bounds.statement.tokens(), {"NULL"}, bounds.begin)
            .has_value();
    if (values.empty() || holds_null) return "";
    return fmt::format("{} {} {} {}IN ({})", null, join, name, inside ? "" : "NOT ", values);
  }
  if (spec.strategy[0] != 'r' || spec.n_lowerdatums != 1) return "";
  std::string condition = null;
  for (const auto& [word, within_op, outside_op] :
       {std::tuple{"FROM", ">=", "<"}, std::tuple{"TO", "<", ">="}}) {
    const std::string value = between(bounds, word);
    if (value.empty()) return "";
    const bool open =
        schema::equals_ignoring_case(value, "MINVALUE") || schema::equals_ignoring_case(value, "MAXVALUE");
    if (!open) condition += fmt::format(" {} {} {} {}", join, name, inside ? within_op : outside_op, value);
  }
  return condition;
}

}  // namespace

bool names_column(const PgQuery__Node* condition, std::string_view column) {
  bool found = false;
  schema::walk(schema::content(condition), [&](const schema::Message* message) {
    if (message->descriptor == &pg_query__null_test__descriptor) return false;  // bounds no value
    const auto* ref = schema::as<PgQuery__ColumnRef>(message);
    found = found || (ref != nullptr && schema::strings(ref->fields, ref->n_fields).back() == column);
    return !found;
  });
  return found;
}

const schema::Table* default_partition(const schema::Catalog& catalog, const schema::Table& parent) {
  for (const schema::Part& part : catalog.parts) {
    if (part.kind != "partition" || !part.definition.ends_with(" DEFAULT")) continue;
    const auto of = schema::parse_qualified_name(part.name);
    const auto own = schema::parse_qualified_name(part.of);
    if (of && own && *of == parent.qualified()) return catalog.table(*own);
  }
  return nullptr;
}

std::int64_t bytes_of(const schema::Catalog& catalog, const schema::Table& table) {
  std::int64_t sum = 0;
  each_leaf(catalog, table, 0,
            [&](const schema::Table& leaf) { sum += std::max<std::int64_t>(leaf.bytes, 0); });
  return sum;
}

double rows_of(const schema::Catalog& catalog, const schema::Table& table) {
  double sum = 0;
  bool known = true;
  each_leaf(catalog, table, 0, [&](const schema::Table& leaf) {
    known = known && (leaf.estimated_rows >= 0 || leaf.bytes == 0);
    sum += std::max(leaf.estimated_rows, 0.0);
  });
  return known ? sum : -1;
}

std::string key_column(const schema::Table* parent) {
  if (parent == nullptr) return "";
  const std::size_t open = parent->partition_key.find('(');
  if (open == std::string::npos || !parent->partition_key.ends_with(')')) return "";
  const auto name = schema::parse_identifier(
      std::string_view(parent->partition_key).substr(open + 1, parent->partition_key.size() - open - 2));
  return name ? *name : "";
}

std::string within(const Bounds& bounds, const std::string& column) {
  return condition_of(bounds, column, true);
}

std::string outside(const Bounds& bounds, const std::string& column) {
  return condition_of(bounds, column, false);
}

const schema::Table* read_default(const Context& context, const schema::QualifiedName& parent) {
  const schema::Table* known = context.table(parent);
  if (known == nullptr || context.options.catalog == nullptr) return nullptr;
  const schema::Table* rest = default_partition(*context.options.catalog, *known);
  if (rest == nullptr || bytes_of(*context.options.catalog, *rest) <= kSmallTableBytes) return nullptr;
  if (context.facts == nullptr) return rest;
  const std::string column = key_column(known);
  std::vector<schema::Statement> parsed;
  for (const PgQuery__Node* condition : validated_checks(context, rest->qualified(), parsed))
    if (!column.empty() && names_column(condition, column)) return nullptr;
  return rest;
}

std::string with_default_spared(const Context& context, const schema::Table& spared, const Bounds& bounds,
                                const std::string& column, const std::string& attach) {
  const std::string condition = outside(bounds, column);
  if (condition.empty()) return "";
  const schema::QualifiedName rest = spared.qualified();
  return fmt::format(
      "ALTER TABLE {0} ADD CONSTRAINT {1} CHECK ({2}) NOT VALID;\nALTER TABLE {0} VALIDATE CONSTRAINT {1};\n"
      "{3};\nALTER TABLE {0} DROP CONSTRAINT {1};",
      rest.to_sql(), schema::quote_identifier(free_name(context, rest, {rest.name, "outside", "check"})),
      condition, attach);
}

}  // namespace poundlock::lint
