#include "migration/source_lint.h"

#include <fmt/format.h>

#include <algorithm>

#include "lint/framework.h"
#include "migration/source_text.h"

namespace poundlock::migration {
namespace {

// Each is about the text alone; what a report holds in all is bounded by lint::kFindingsMax for each source.
void add_commands(const Source& source, const PlainSql& plain, lint::Report& report) {
  bool told = false;
  for (const PsqlCommand& command : plain.commands) {
    // Each \i and \copy does something else that was not looked at; an \echo is told where it is the first.
    if (told && only_talks(command.text)) continue;
    told = true;
    lint::Finding finding = lint::framework_finding("psql_command");
    // psql alone runs a plain file; any other tool stops at the backslash.
    if (source.tool != Tool::kPlain) finding.severity = lint::Severity::kError;
    finding.file = source.file;
    finding.line = finding.end_line = command.line;
    finding.column = command.column;
    finding.text = command.text;
    finding.source_line = std::string(static_cast<std::size_t>(command.column) - 1, ' ') + command.text;
    finding.end_column = command.column + static_cast<int>(command.text.size());
    report.findings.push_back(std::move(finding));
  }
}

void restore(lint::Finding& finding, const Source& source, const PlainSql& plain) {
  finding.line += source.line - 1;
  finding.end_line += source.line - 1;
  if (plain.placeholders.empty()) return;
  for (std::string* text : {&finding.text, &finding.source_line, &finding.detail, &finding.rewrite})
    *text = with_placeholders(std::move(*text), plain);
}

void lint_source(const Source& source, const lint::Options& options, lint::Report& report) {
  const PlainSql plain = plain_sql(source.sql, source.tool);
  lint::Options own = options;
  if (source.tool != Tool::kPlain) own.in_transaction = source.in_transaction;
  // What psql includes, or the tool puts in, may make any name, and be any.
  const bool talks =
      std::ranges::all_of(plain.commands, [](const auto& one) { return only_talks(one.text); });
  own.incomplete = !talks || plain.unresolved || !plain.placeholders.empty();
  lint::Report one = lint::lint(plain.sql, source.file, own);
  add_commands(source, plain, one);
  for (lint::Finding& finding : one.findings) {
    restore(finding, source, plain);
    // What the migration has made is gone again: that is what the undo beside it is for.
    const bool beside = source.kind == Kind::kUndo && source.tool != Tool::kFlyway;
    if (beside && finding.rule == "drop_column_or_table") finding.severity = lint::Severity::kWarning;
  }
  for (lint::Ignored& ignored : one.ignored) restore(ignored.finding, source, plain);
  report.statements += one.statements;
  // The changesets before it are files of the same run.
  std::erase_if(one.findings, [&](const lint::Finding& finding) {
    return !finding.subject.empty() && (report.opaque || report.names.contains(finding.subject));
  });
  report.names.merge(one.names);
  report.opaque = report.opaque || one.opaque;
  report.truncated = report.truncated || one.truncated;
  std::ranges::move(one.findings, std::back_inserter(report.findings));
  std::ranges::move(one.ignored, std::back_inserter(report.ignored));
}

// A file of ten thousand changesets may have more than one statement's worth of findings.
void bound(lint::Report& report) {
  if (report.findings.size() <= lint::kFindingsMax) return;
  const bool told = report.findings.back().rule == "too_many";
  if (told && report.findings.size() == lint::kFindingsMax + 1) return;
  report.findings.resize(lint::kFindingsMax);
  lint::Finding more =
      lint::framework_finding("too_many", fmt::format("the first {} are shown", lint::kFindingsMax));
  more.file = report.file;
  more.line = more.end_line = report.findings.back().line;
  report.findings.push_back(std::move(more));
  report.truncated = true;
}

}  // namespace

lint::Report lint_file(std::string_view bytes, const std::string& file, std::optional<std::string_view> conf,
                       const lint::Options& options, std::vector<Source>& sources) {
  lint::Report report;
  report.file = file;
  const auto text = utf8_text(bytes, file);
  if (!text) {
    report.findings.push_back(lint::file_finding("encoding", file, text.error()));
    return report;
  }
  auto read = read_sources(*text, file, conf);
  if (!read) {
    report.findings.push_back(lint::file_finding("migration_file", file, read.error()));
    return report;
  }
  for (Source& source : *read) {
    if (report.findings.size() <= lint::kFindingsMax) lint_source(source, options, report);
    source.sql = {};
    sources.push_back(std::move(source));
  }
  std::ranges::stable_sort(report.findings, {}, [](const lint::Finding& finding) {
    return std::tuple(finding.rule == "too_many", finding.line, finding.column);
  });
  bound(report);
  return report;
}

void add_same_versions(std::span<const Source> sources, std::span<lint::Report> reports) {
  for (const SameVersion& clash : same_versions(sources)) {
    const auto report = std::ranges::find(reports, clash.second->file, &lint::Report::file);
    if (report == reports.end() || report->findings.size() > lint::kFindingsMax) continue;
    const bool changeset = clash.second->tool == Tool::kLiquibase;
    const std::string& name = clash.second->kind == Kind::kRepeatable && !changeset
                                  ? clash.second->description
                                  : clash.second->version;
    lint::Finding finding = lint::framework_finding(
        "same_version", changeset ? fmt::format("changeset {}, as in line {}", name, clash.first->line - 1)
                                  : fmt::format("{}, as {}", name, clash.first->file));
    if (!clash.one_folder) {
      finding.severity = lint::Severity::kWarning;
      finding.fix =
          "Where both folders are locations of one database, give the newer one a version of its own.";
    }
    finding.file = report->file;
    finding.line = finding.end_line = changeset ? clash.second->line - 1 : 1;
    finding.end_column = 2;
    report->findings.insert(
        std::ranges::upper_bound(report->findings, finding.line, {}, &lint::Finding::line), finding);
  }
}

}  // namespace poundlock::migration
