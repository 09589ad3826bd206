#include "lint/rule.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  if (context.statement.kind() != schema::StatementKind::kAlterSystem) return {};
  return {{{0, context.statement.text().size()}, "", ""}};
}

}  // namespace

const Rule& server_setting() {
  static const Rule rule{
      .id = "server_setting",
      .severity = Severity::kWarning,
      .title = "a setting of the whole server changes",
      .reason =
          "ALTER SYSTEM writes a file of the server: it is in no transaction, no dump and no other "
          "environment, it "
          "holds for every database there, and it acts at the next reload or restart, when nobody thinks of "
          "the migration any more. A wrong value can keep the server from starting.",
      .fix =
          "Change it where the server's configuration is kept. For one application: ALTER ROLE ... IN "
          "DATABASE ... "
          "SET; for one migration: SET LOCAL.",
      .bad = {"ALTER SYSTEM SET work_mem = '64MB';", "ALTER SYSTEM RESET ALL;"},
      .good = {"BEGIN; SET LOCAL work_mem = '64MB'; COMMIT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
