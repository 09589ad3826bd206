#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ReplicaIdentity)
      matches.push_back({action.range, table_text(action.table), ""});
  });
  return matches;
}

}  // namespace

const Rule& replica_identity() {
  static const Rule rule{
      .id = "replica_identity",
      .severity = Severity::kWarning,
      .title = "a change of what replication knows a row by",
      .reason =
          "Subscribers find the row to change by it. With NOTHING every UPDATE and DELETE of a published "
          "table fails at once; with FULL each writes the whole old row to the log, and a subscriber without "
          "a fitting index reads its table for each of them.",
      .fix =
          "Let whoever runs the subscribers approve it, and name them: -- poundlock: ignore "
          "replica_identity REASON.",
      .bad = {"ALTER TABLE orders REPLICA IDENTITY NOTHING;",
              "ALTER TABLE orders REPLICA IDENTITY USING INDEX orders_code_key;"},
      .good = {"CREATE TABLE notes (id bigint PRIMARY KEY); ALTER TABLE notes REPLICA IDENTITY FULL;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
