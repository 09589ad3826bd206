// For tests: a finding's rewrite put into its script, as the contract of Match::rewrite says.
#pragma once

#include <string>
#include <utility>

#include "lint/lint.h"
#include "schema/sql.h"

namespace poundlock::lint {

// The script with the statement that the finding stands in replaced by its rewrite; "" when it stands in
// none.
inline std::string in_place(const schema::Script& script, const Finding& finding) {
  std::string sql;
  bool placed = false;
  const std::pair at(finding.line, finding.column);
  for (const schema::Statement& statement : script.statements) {
    const auto begin = statement.position();
    const auto end = statement.position(statement.text().size());
    const bool here =
        !placed && at >= std::pair(begin.line, begin.column) && at < std::pair(end.line, end.column);
    sql += here ? finding.rewrite + "\n" : statement.text() + ";\n";
    placed = placed || here;
  }
  return placed ? sql : "";
}

}  // namespace poundlock::lint
