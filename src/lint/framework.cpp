#include "lint/framework.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/suggest.h"

namespace poundlock::lint {
namespace {

constexpr std::array kRules{
    FrameworkRule{.id = "encoding",
                  .title = "this is no UTF-8 text",
                  .reason =
                      "PostgreSQL and the tools that run migrations take UTF-8: they refuse the file, or "
                      "store other characters than were meant.",
                  .fix = "Save the file as UTF-8: iconv -f ISO-8859-1 -t UTF-8, or -f UTF-16."},
    FrameworkRule{.id = "ignore_comment",
                  .title = "this comment takes nothing back",
                  .reason = "Whoever reads it believes that somebody has looked at the risk.",
                  .fix =
                      "Write -- poundlock: ignore RULE reason, in front of the statement or behind it on its "
                      "line."},
    FrameworkRule{.id = "migration_file",
                  .title = "the migration tool cannot read this",
                  .reason = "The tool refuses the file, or runs something else than is meant.",
                  .fix = "Correct what the tool reads: the changeset's line or the script configuration."},
    FrameworkRule{.id = "newer_syntax",
                  .severity = Severity::kWarning,
                  .title = "only the server's parser knows this statement",
                  .reason =
                      "The server reads it, but nothing here knows what it locks, scans or rewrites: the "
                      "grammar of this program is PostgreSQL 15's.",
                  .fix = "Try it on a shadow: the dry run asks the server for locks, scans and rewrites."},
    FrameworkRule{
        .id = "psql_command",
        .severity = Severity::kWarning,
        .title = "only psql knows this command",
        .reason = "Whatever it includes, sets or runs was not looked at, and every other runner refuses "
                  "the file.",
        .fix = "Write SQL: SET instead of \\set, the statements themselves instead of \\i; give the "
               "files that it includes by name."},
    FrameworkRule{.id = "same_version",
                  .title = "two migrations have the same version",
                  .reason = "The tool cannot tell them apart: it refuses to run, or runs one of them only.",
                  .fix = "Give the newer one a version of its own."},
    FrameworkRule{.id = "syntax",
                  .title = "PostgreSQL cannot read this",
                  .reason =
                      "The statement is refused, and a script that goes on after it leaves half of its work "
                      "done.",
                  .fix = "Correct the statement. The grammar here is PostgreSQL 15's: with --database-url or "
                         "--shadow the server's own parser is asked about newer syntax."},
    FrameworkRule{.id = "too_large",
                  .title = "too large or too deep to be looked at",
                  .reason = "What is not looked at may hold anything.",
                  .fix = "Split it, or load data by COPY, which is not looked at."},
    FrameworkRule{
        .id = "too_many",
        .title = "more findings than are shown",
        .reason = "The rest of the file was looked at, and what was found there is missing here.",
        .fix = "Correct the first ones, turn rules off in the configuration, or leave the file out."},
};

}  // namespace

std::span<const FrameworkRule> framework_rules() {
  return kRules;
}

const FrameworkRule* find_framework_rule(std::string_view id) {
  const auto* found = std::ranges::find(kRules, id, &FrameworkRule::id);
  return found == kRules.end() ? nullptr : found;
}

Finding framework_finding(std::string_view id, std::string detail) {
  Finding finding;
  finding.rule = id;
  finding.detail = std::move(detail);
  if (const FrameworkRule* rule = find_framework_rule(id)) {
    finding.severity = rule->severity;
    finding.title = rule->title;
    finding.reason = rule->reason;
    finding.fix = rule->fix;
  }
  return finding;
}

Finding file_finding(std::string_view id, std::string file, const Error& error) {
  Finding finding = framework_finding(id, error.message);
  finding.file = std::move(file);
  if (error.where) {
    if (!error.where->file.empty()) finding.file = error.where->file;
    finding.line = error.where->line;
    finding.column = error.where->column;
  }
  if (!error.hint.empty()) finding.fix = error.hint;
  finding.end_line = finding.line;
  finding.end_column = finding.column + 1;
  return finding;
}

std::string_view nearest_rule(std::string_view id) {
  std::vector<std::string_view> known;
  for (const Rule* rule : all_rules()) known.push_back(rule->id);
  for (const FrameworkRule& rule : kRules) known.push_back(rule.id);
  return nearest(id, std::span<const std::string_view>(known));
}

}  // namespace poundlock::lint
