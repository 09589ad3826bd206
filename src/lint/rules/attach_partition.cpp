#include <fmt/format.h>

#include <algorithm>

#include "lint/partitions.h"
#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// Is the table itself read? Not a new one, and not one with a validated CHECK on the key: whether that is
// narrow enough only the server can say, but that there is one shows the intent.
bool is_read(const Context& context, const schema::QualifiedName& child, const std::string& column) {
  if (context.is_new(child)) return false;
  std::vector<schema::Statement> parsed;
  return std::ranges::none_of(validated_checks(context, child, parsed), [&](const PgQuery__Node* condition) {
    return column.empty() || names_column(condition, column);
  });
}

std::string with_child_proved(const Context& context, const schema::QualifiedName& child,
                              const std::string& condition, const std::string& attach) {
  if (condition.empty()) return "";
  return fmt::format(
      "ALTER TABLE {0} ADD CONSTRAINT {1} CHECK ({2}) NOT VALID;\nALTER TABLE {0} VALIDATE CONSTRAINT {1};\n"
      "{3};\nALTER TABLE {0} DROP CONSTRAINT {1};",
      child.to_sql(), schema::quote_identifier(free_name(context, child, {child.name, "bound", "check"})),
      condition, attach);
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context.statement, [&](const Action& action) {
    const auto* partition = schema::as<PgQuery__PartitionCmd>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition || partition == nullptr ||
        partition->name == nullptr || partition->bound == nullptr || context.is_new(action.table))
      return;
    const schema::QualifiedName child = schema::name_of(*partition->name);
    const std::string column = key_column(context.table(action.table));
    const Bounds bounds{*partition->bound, context.statement, action.range.begin};
    const schema::Table* rest = partition->bound->is_default ? nullptr : read_default(context, action.table);
    const bool child_read = is_read(context, child, column);
    if (!child_read && rest == nullptr) return;
    std::string rewrite = context.statement.text();
    if (rest != nullptr) rewrite = with_default_spared(context, *rest, bounds, column, rewrite);
    if (child_read && !rewrite.empty()) {
      while (rewrite.ends_with(';')) rewrite.pop_back();
      rewrite = with_child_proved(context, child, within(bounds, column), rewrite);
    }
    std::string detail = child_read ? table_text(child) : "";
    if (rest != nullptr)
      detail += fmt::format("{}the default partition {} is locked and read", detail.empty() ? "" : ", and ",
                            rest->qualified().to_sql());
    matches.push_back({.range = action.range,
                       .detail = detail,
                       .rewrite = rewrite,
                       .lesser = rest == nullptr && context.is_small(child)});
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
