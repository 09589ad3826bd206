#include "lint/rule.h"
#include "lint/statement_options.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

const char* what(const PgQuery__AlterTableCmd& command) {
  switch (command.subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetLogged: return "SET LOGGED";
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetUnLogged: return "SET UNLOGGED";
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetAccessMethod: return "SET ACCESS METHOD";
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetTableSpace: return "SET TABLESPACE";
    default: return nullptr;
  }
}

std::vector<Match> check(const Context& context) {
  const PgQuery__Node& node = *context.statement.node();
  const schema::ByteRange all{0, context.statement.text().size()};
  if (node.node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_MOVE_ALL_STMT)
    return {{all, "everything in a tablespace, under one lock after the other until the last is copied", ""}};
  if (const auto* database = schema::as<PgQuery__AlterDatabaseStmt>(&node);
      database != nullptr && find_option(database->options, database->n_options, "tablespace") != nullptr)
    return {{all, "a whole database, to which nobody may be connected meanwhile", ""}};
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    const char* change = what(action.command);
    if (change == nullptr) return;
    matches.push_back({.range = action.range,
                       .detail = std::string(change) + " of " + table_text(action.table),
                       .rewrite = "",
                       .lesser = context.is_small(action.table)});
  });
  return matches;
}

}  // namespace

const Rule& table_rewrite() {
  static const Rule rule{
      .id = "table_rewrite",
      .title = "a change of how the table is stored that copies all of it",
      .reason =
          "The table, and but for a tablespace its indexes too, is written anew under ACCESS EXCLUSIVE: "
          "nobody "
          "reads or writes it until that is done, and the disk holds it twice. An unlogged table is empty "
          "after a crash and always empty on a replica.",
      .fix =
          "Make a new table as it should be, keep it in step by a trigger, fill it in batches and move "
          "readers "
          "over; or use pg_repack, which can move a table to another tablespace.",
      .bad = {"ALTER TABLE orders SET UNLOGGED;", "ALTER TABLE orders SET LOGGED;",
              "ALTER TABLE orders SET TABLESPACE fast;", "ALTER TABLE orders SET ACCESS METHOD heap2;",
              "ALTER TABLE ALL IN TABLESPACE slow SET TABLESPACE fast;",
              "ALTER DATABASE shop SET TABLESPACE fast;"},
      .good = {"CREATE TABLE notes (id bigint); ALTER TABLE notes SET UNLOGGED;",
               "ALTER TABLE orders SET (fillfactor = 90);"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
