#include <algorithm>
#include <optional>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::text_of;

// What the statement lacks to run again, and the words behind which to put it; `words` empty: it has no such
// form, and DROP ... IF EXISTS has to stand before it.
struct Lack {
  std::string_view missing;
  std::vector<std::string_view> words;
};

std::optional<Lack> lack_of_create(const PgQuery__Node* node) {
  constexpr std::string_view kIfNotExists = "IF NOT EXISTS";
  constexpr std::string_view kOrReplace = "OR REPLACE";
  if (const auto* table = as<PgQuery__CreateStmt>(node))
    return table->if_not_exists ? std::nullopt : std::optional(Lack{kIfNotExists, {"TABLE"}});
  if (const auto* query = as<PgQuery__CreateTableAsStmt>(node)) {
    const bool view = query->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW;
    return query->if_not_exists ? std::nullopt : std::optional(Lack{kIfNotExists, {view ? "VIEW" : "TABLE"}});
  }
  if (const auto* index = as<PgQuery__IndexStmt>(node)) {
    // IF NOT EXISTS needs a name.
    if (text_of(index->idxname).empty()) return Lack{kIfNotExists, {}};
    return index->if_not_exists
               ? std::nullopt
               : std::optional(Lack{kIfNotExists, {index->concurrent ? "CONCURRENTLY" : "INDEX"}});
  }
  if (const auto* space = as<PgQuery__CreateSchemaStmt>(node))
    return space->if_not_exists ? std::nullopt : std::optional(Lack{kIfNotExists, {"SCHEMA"}});
  if (const auto* view = as<PgQuery__ViewStmt>(node))
    return view->replace ? std::nullopt : std::optional(Lack{kOrReplace, {"CREATE"}});
  if (const auto* trigger = as<PgQuery__CreateTrigStmt>(node))
    return trigger->replace ? std::nullopt : std::optional(Lack{kOrReplace, {"CREATE"}});
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT:
      return node->create_seq_stmt->if_not_exists ? std::nullopt
                                                  : std::optional(Lack{kIfNotExists, {"SEQUENCE"}});
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT:
      return node->create_extension_stmt->if_not_exists ? std::nullopt
                                                        : std::optional(Lack{kIfNotExists, {"EXTENSION"}});
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT:
      return node->create_function_stmt->replace ? std::nullopt : std::optional(Lack{kOrReplace, {"CREATE"}});
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT:
    case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT:
    case PG_QUERY__NODE__NODE_CREATE_POLICY_STMT: return Lack{"DROP ... IF EXISTS before it", {}};
    default: return std::nullopt;
  }
}

std::string with(const schema::Statement& statement, const Lack& lack) {
  if (lack.words.empty()) return "";
  const auto words = schema::find_words(statement.text(), statement.tokens(), {lack.words.front()});
  if (!words) return "";
  std::string text = statement.text();
  text.insert(words->end, " " + std::string(lack.missing));
  return text + ";";
}

// DROP TYPE IF EXISTS and the like earlier in the script: the file makes its objects anew each time.
bool dropped_before(const Context& context) {
  return std::ranges::any_of(context.earlier(), [](const schema::Statement& statement) {
    const auto* drop = as<PgQuery__DropStmt>(statement.node());
    return drop != nullptr && drop->missing_ok;
  });
}

std::vector<Match> check(const Context& context) {
  if (!context.options.repeatable) return {};
  const schema::Statement& statement = context.statement;
  if (const auto lack = lack_of_create(statement.node())) {
    if (lack->words.empty() && dropped_before(context)) return {};
    return {{{0, statement.text().size()}, "without " + std::string(lack->missing), with(statement, *lack)}};
  }
  if (const auto* drop = as<PgQuery__DropStmt>(statement.node()); drop != nullptr && !drop->missing_ok)
    return {{{0, statement.text().size()}, "without IF EXISTS", ""}};
  std::vector<Match> matches;
  each_action(statement, [&](const Action& action) {
    const bool adds = action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn ||
                      action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint;
    if (adds && !action.command.missing_ok)
      matches.push_back({action.range, "an addition that fails the second time", ""});
  });
  return matches;
}

}  // namespace

const Rule& create_without_if_not_exists() {
  static const Rule rule{
      .id = "create_without_if_not_exists",
      .severity = Severity::kWarning,
      .title = "a file that is run again fails the second time",
      .reason =
          "A repeatable migration (Flyway's R__ files) runs whenever its text has changed. What it made the "
          "first time is still there, so that the statement fails and the deployment stops.",
      .fix = "CREATE ... IF NOT EXISTS, CREATE OR REPLACE, or DROP ... IF EXISTS before it.",
      .bad = {"CREATE VIEW totals AS SELECT sum(total) FROM orders;", "CREATE TABLE notes (id bigint);",
              "CREATE INDEX CONCURRENTLY orders_code ON orders (code);", "DROP VIEW totals;",
              "CREATE TYPE mood AS ENUM ('sad');", "CREATE MATERIALIZED VIEW sums AS SELECT 1 AS a;"},
      .good = {"CREATE OR REPLACE VIEW totals AS SELECT sum(total) FROM orders;",
               "CREATE TABLE IF NOT EXISTS notes (id bigint);", "DROP VIEW IF EXISTS totals;",
               "DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('sad');"},
      .check = check,
      .examples = {.repeatable = true}};
  return rule;
}

}  // namespace poundlock::lint
