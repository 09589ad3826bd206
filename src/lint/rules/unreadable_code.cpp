#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const schema::Statement& statement = context.statement;
  if (statement.kind() == schema::StatementKind::kDo) return {{statement.words({"DO"}), "a DO block", ""}};
  const PgQuery__Node& node = *statement.node();
  if (node.node_case != PG_QUERY__NODE__NODE_CALL_STMT || node.call_stmt->funccall == nullptr) return {};
  const PgQuery__FuncCall& call = *node.call_stmt->funccall;
  return {{statement.words({"CALL"}), "procedure " + schema::name_of(call.funcname, call.n_funcname).to_sql(),
           ""}};
}

}  // namespace

const Rule& unreadable_code() {
  static const Rule rule{
      .id = "unreadable_code",
      .severity = Severity::kWarning,
      .title = "code that cannot be read from here",
      .reason =
          "What a DO block or a procedure runs is made when it runs: no rule here has looked at its locks, "
          "at the "
          "rows that it changes, or at whether it may run twice. All of it is one transaction, unless it "
          "commits itself.",
      .fix =
          "Write what it does as statements of their own, or try it by dry-run and say so: -- poundlock: "
          "ignore "
          "unreadable_code REASON.",
      .bad = {"DO $$ BEGIN DELETE FROM orders; END $$;", "CALL shop.tidy(7);"},
      .good = {"DELETE FROM orders WHERE id = 7;",
               "CREATE FUNCTION seven() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 7; END';",
               "-- poundlock: ignore unreadable_code tried on a shadow, DBA-311\nDO $$ BEGIN NULL; END $$;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
