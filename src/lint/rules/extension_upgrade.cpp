#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const auto* alter = schema::as<PgQuery__AlterExtensionStmt>(context.statement.node());
  if (alter == nullptr) return {};
  return {{{0, context.statement.text().size()},
           "extension " + schema::quote_identifier(schema::text_of(alter->extname)),
           ""}};
}

}  // namespace

const Rule& extension_upgrade() {
  static const Rule rule{
      .id = "extension_upgrade",
      .severity = Severity::kWarning,
      .title = "an extension is upgraded",
      .reason =
          "Its script runs with whatever locks and rewrites its authors chose, may change functions that "
          "indexes and views rest on, and there is seldom a script for the way back.",
      .fix =
          "Read the script, try it on a shadow with production's schema, run it by itself, and let a person "
          "approve it: -- poundlock: ignore extension_upgrade REASON.",
      .bad = {"ALTER EXTENSION pg_trgm UPDATE;", "ALTER EXTENSION pg_trgm UPDATE TO '1.6';"},
      .good = {"CREATE EXTENSION IF NOT EXISTS pg_trgm;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
