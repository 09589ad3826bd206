#include "cli/lint_server.h"

#include <fmt/format.h>

#include "lint/framework.h"
#include "postgres/catalog_loader.h"

namespace poundlock::cli {
namespace {

constexpr std::string_view kAborted = "25P02";  // in_failed_sql_transaction
constexpr std::string_view kDivision = "22012";
constexpr std::size_t kAskedMax = 1'000;  // statements in one report

}  // namespace

Result<LintServer> LintServer::connect(ports::Database& database, bool with_catalog) {
  LintServer server;
  PL_TRY(server.session_, database.connect());
  PL_CHECK(server.session_->run("BEGIN READ ONLY"));
  PL_TRY(const auto rows, server.session_->run("SELECT current_setting('server_version')"));
  if (!rows.rows.empty() && !rows.rows[0].empty())
    server.version_ = "PostgreSQL " + rows.rows[0][0].value_or("");
  if (with_catalog) {
    PL_TRY(server.catalog_,
           postgres::load_catalog(*server.session_, {.schemas = {}, .tables = {}, .bounds = true}));
    PL_TRY(const auto relations, server.session_->run("SELECT relname FROM pg_class"));
    for (const auto& row : relations.rows) server.relations_.insert(row[0].value_or(""));
  }
  PL_CHECK(server.session_->run("ROLLBACK"));
  return server;
}

// In a transaction that has failed the server still parses what it gets, and then refuses to run anything but
// the transaction's end (postgres.c, exec_parse_message): so that a statement of any kind and version can be
// shown to the parser, and none can do anything. Sent as one statement by the extended protocol.
Result<std::optional<std::string>> LintServer::refuses(const std::string& statement) {
  PL_CHECK(session_->run("BEGIN READ ONLY"));
  const auto failed = session_->run("SELECT 1 / 0");
  if (failed || failed.error().sqlstate != kDivision)
    return fail(internal_error("a transaction that should have failed did not"));
  const auto answer = session_->run(statement);
  const auto ended = session_->run("ROLLBACK");
  if (session_->broken()) return fail(answer ? ended.error() : answer.error());
  if (answer || answer.error().sqlstate == kAborted) return std::optional<std::string>();
  return std::optional(answer.error().message);
}

Status LintServer::judge(lint::Report& report) {
  std::size_t asked = 0;
  for (lint::Finding& finding : report.findings) {
    if (finding.statement.empty() || ++asked > kAskedMax) continue;
    PL_TRY(const auto refused, refuses(finding.statement));
    if (refused) {
      finding.detail += fmt::format("; {} refuses it, too: {}", version_, *refused);
      continue;
    }
    const lint::Finding newer = lint::framework_finding(
        "newer_syntax", fmt::format("{} reads it; here: {}", version_, finding.detail));
    finding.rule = newer.rule;
    finding.severity = newer.severity;
    finding.title = newer.title;
    finding.detail = newer.detail;
    finding.reason = newer.reason;
    finding.fix = newer.fix;
    finding.rewrite.clear();
  }
  return {};
}

}  // namespace poundlock::cli
