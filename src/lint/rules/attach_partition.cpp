#include <fmt/format.h>

#include <algorithm>

#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The column of a key such as "RANGE (at)"; "" when it is of several columns, an expression or not known.
std::string key_column(const schema::Table* parent) {
  if (parent == nullptr) return "";
  const std::size_t open = parent->partition_key.find('(');
  if (open == std::string::npos || !parent->partition_key.ends_with(')')) return "";
  const auto name = schema::parse_identifier(
      std::string_view(parent->partition_key).substr(open + 1, parent->partition_key.size() - open - 2));
  return name ? *name : "";
}

bool names(const PgQuery__Node* condition, std::string_view column) {
  bool found = false;
  schema::walk(schema::content(condition), [&](const schema::Message* message) {
    const auto* ref = schema::as<PgQuery__ColumnRef>(message);
    found = found || (ref != nullptr && schema::strings(ref->fields, ref->n_fields).back() == column);
    return !found;
  });
  return found;
}

// The words between the parentheses that follow the word: "'a', 'b'" of IN ('a', 'b').
std::string between(const Context& context, const Action& action, std::string_view word) {
  const schema::Statement& statement = context.statement;
  const auto at = schema::find_words(statement.text(), statement.tokens(), {word, "("}, action.range.begin);
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

// The condition that all rows of the partition meet; "" where it takes thought.
std::string implied(const Context& context, const Action& action, const PgQuery__PartitionBoundSpec& bound,
                    const std::string& column) {
  if (column.empty() || bound.is_default || schema::text_of(bound.strategy).empty()) return "";
  const std::string name = schema::quote_identifier(column);
  if (bound.strategy[0] == 'l') {
    const std::string values = between(context, action, "IN");
    const bool null =
        schema::find_words(context.statement.text(), context.statement.tokens(), {"NULL"}, action.range.begin)
            .has_value();
    return values.empty() || null ? "" : fmt::format("{0} IS NOT NULL AND {0} IN ({1})", name, values);
  }
  if (bound.strategy[0] != 'r' || bound.n_lowerdatums != 1) return "";
  std::string condition = name + " IS NOT NULL";
  for (const auto& [word, op] : {std::pair{"FROM", ">="}, std::pair{"TO", "<"}}) {
    const std::string value = between(context, action, word);
    if (value.empty()) return "";
    const bool open =
        schema::equals_ignoring_case(value, "MINVALUE") || schema::equals_ignoring_case(value, "MAXVALUE");
    if (!open) condition += fmt::format(" AND {} {} {}", name, op, value);
  }
  return condition;
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context.statement, [&](const Action& action) {
    const auto* partition = schema::as<PgQuery__PartitionCmd>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition || partition == nullptr ||
        partition->name == nullptr || partition->bound == nullptr)
      return;
    const schema::QualifiedName child = schema::name_of(*partition->name);
    if (context.is_new(child)) return;
    const std::string column = key_column(context.table(action.table));
    std::vector<schema::Statement> parsed;
    // Whether the CHECK is narrow enough only the server can say; that there is one shows the intent.
    for (const PgQuery__Node* condition : validated_checks(context, child, parsed))
      if (column.empty() || names(condition, column)) return;
    std::string rewrite;
    if (const std::string condition = implied(context, action, *partition->bound, column); !condition.empty())
      rewrite = fmt::format(
          "ALTER TABLE {0} ADD CONSTRAINT {1} CHECK ({2}) NOT VALID;\nALTER TABLE {0} VALIDATE CONSTRAINT "
          "{1};\n"
          "{3};\nALTER TABLE {0} DROP CONSTRAINT {1};",
          child.to_sql(), schema::quote_identifier(free_name(context, child, {child.name, "bound", "check"})),
          condition, context.statement.text());
    matches.push_back({.range = action.range,
                       .detail = table_text(child),
                       .rewrite = rewrite,
                       .lesser = context.is_small(child)});
  });
  return matches;
}

// What the examples know of the database: how the parent is partitioned.
const schema::Catalog& example_catalog() {
  static const schema::Catalog catalog = [] {
    schema::Catalog made;
    schema::Table events;
    events.schema = "public";
    events.name = "events";
    events.kind = 'p';
    events.partition_key = "RANGE (at)";
    made.tables.push_back(events);
    return made;
  }();
  return catalog;
}

}  // namespace

const Rule& attach_partition() {
  static const Rule rule{
      .id = "attach_partition",
      .title = "a table is attached as a partition without a CHECK that fits",
      .reason =
          "PostgreSQL reads all of the table under ACCESS EXCLUSIVE to see that each row belongs there, and "
          "all of the default partition, if there is one, under the same lock.",
      .fix =
          "Add a CHECK that says the partition's bounds, with IS NOT NULL on the key, NOT VALID; VALIDATE "
          "it; "
          "attach; drop the CHECK. The default partition needs a validated CHECK that excludes the bounds.",
      .bad = {"ALTER TABLE events ATTACH PARTITION events_2026 FOR VALUES FROM ('2026-01-01') TO "
              "('2027-01-01');",
              "ALTER TABLE events ATTACH PARTITION \"Old Events\" FOR VALUES FROM (MINVALUE) TO "
              "('2020-01-01');"},
      .good = {"ALTER TABLE events_2026 ADD CONSTRAINT of_2026\n"
               "CHECK (at IS NOT NULL AND at >= '2026-01-01' AND at < '2027-01-01') NOT VALID;\n"
               "ALTER TABLE events_2026 VALIDATE CONSTRAINT of_2026;\n"
               "ALTER TABLE events ATTACH PARTITION events_2026 FOR VALUES FROM ('2026-01-01') TO "
               "('2027-01-01');",
               "CREATE TABLE events_2027 (LIKE events);\n"
               "ALTER TABLE events ATTACH PARTITION events_2027 FOR VALUES FROM ('2027-01-01') TO "
               "('2028-01-01');"},
      .check = check,
      .examples = {.catalog = &example_catalog()}};
  return rule;
}

}  // namespace poundlock::lint
