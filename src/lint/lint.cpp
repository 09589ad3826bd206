#include "lint/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "lint/estimate.h"
#include "lint/framework.h"
#include "lint/ignore.h"
#include "lint/script_facts.h"
#include "lint/transaction.h"
#include "schema/text.h"

namespace poundlock::lint {
namespace {

constexpr std::size_t kTextBytesMax = 400;  // of the offending text that a finding quotes

// Places in one script, for findings that belong to no statement as well.
class Places {
 public:
  explicit Places(std::string_view text) : text_(text) {}

  void locate(Finding& finding, schema::LineColumn begin, schema::LineColumn end, std::size_t begin_offset,
              std::size_t end_offset) const {
    finding.line = begin.line;
    finding.column = begin.column;
    finding.end_line = end.line;
    finding.end_column = end.column;
    finding.text = cut(text_.substr(begin_offset, end_offset - begin_offset));
    const std::size_t line_begin = begin_offset == 0 ? 0 : text_.rfind('\n', begin_offset - 1) + 1;
    std::string_view line = text_.substr(line_begin, text_.find('\n', begin_offset) - line_begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    finding.source_line = cut(line);
  }

 private:
  static std::string cut(std::string_view text) {
    if (text.size() <= kTextBytesMax) return std::string(text);
    std::size_t end = kTextBytesMax;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return std::string(text.substr(0, end)) + "...";
  }

  std::string_view text_;
};

Finding finding_of(const Rule& rule, const schema::Statement& statement, Match match, const Places& places) {
  Finding finding;
  finding.rule = rule.id;
  finding.severity = match.lesser ? Severity::kWarning : rule.severity;
  finding.title = rule.title;
  finding.detail = std::move(match.detail);
  finding.reason = rule.reason;
  finding.fix = rule.fix;
  finding.rewrite = std::move(match.rewrite);
  finding.subject = std::move(match.subject);
  const std::size_t size = statement.text().size();
  const std::size_t begin = std::min(match.range.begin, size);
  const std::size_t end = std::clamp(match.range.end, begin, size);
  places.locate(finding, statement.position(begin), statement.position(end), statement.offset() + begin,
                statement.offset() + end);
  return finding;
}

// A statistics view used like a program, as some published guides show it.
bool is_monitoring_view(std::string_view word) {
  return word.starts_with("pg_stat_") || word.starts_with("pg_statio_") || word == "pg_locks";
}

// The byte at a place, without walking the script from its beginning for each of ten thousand errors.
class Offsets {
 public:
  explicit Offsets(std::string_view text) : text_(text), lines_{0} {
    for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
      lines_.push_back(at + 1);
  }
  std::size_t at(schema::LineColumn place) const {
    const auto line = static_cast<std::size_t>(std::max(1, place.line)) - 1;
    if (line >= lines_.size()) return text_.size();
    const std::size_t end = line + 1 < lines_.size() ? lines_[line + 1] : text_.size();
    return lines_[line] + schema::byte_of_character(text_.substr(lines_[line], end - lines_[line]),
                                                    static_cast<std::size_t>(std::max(1, place.column)) - 1);
  }

 private:
  std::string_view text_;
  std::vector<std::size_t> lines_;
};

// Of a string that nothing ends PostgreSQL quotes all that follows: the first line of it is enough.
std::string short_message(const std::string& message) {
  constexpr std::size_t kMessageMax = 120;  // characters
  if (message.size() <= kMessageMax && message.find('\n') == std::string::npos) return message;
  std::string_view first = std::string_view(message).substr(0, message.find_first_of("\r\n"));
  return std::string(first.substr(0, schema::byte_of_character(first, kMessageMax))) + "...\"";
}

Finding syntax_finding(const Error& error, std::string_view text, const Places& places,
                       const Offsets& offsets) {
  const bool too_large = error.code == "schema.too_large" || error.code == "schema.too_deep";
  Finding finding = framework_finding(too_large                         ? "too_large"
                                      : error.code == "schema.bad_text" ? "encoding"
                                                                        : "syntax",
                                      short_message(error.message));
  if (too_large && !error.hint.empty()) finding.fix += " (" + error.hint + ")";
  if (!error.where) return finding;
  const schema::LineColumn at{error.where->line, error.where->column};
  const std::size_t begin = offsets.at(at);
  const std::size_t end = std::min(text.find_first_of(" \t\r\n;(),", begin), text.size());
  const std::string_view word = text.substr(begin, std::min(end - begin, kTextBytesMax));
  const int characters = schema::line_column(word, word.size()).column - 1;
  places.locate(finding, at, {at.line, at.column + characters}, begin, begin + word.size());
  if (is_monitoring_view(word)) {
    finding.title = "a statistics view is no command";
    finding.fix = fmt::format("{} is a view: query it, together with pg_locks and pg_blocking_pids().", word);
    finding.rewrite =
        "SELECT a.pid, a.state, a.wait_event_type, pg_blocking_pids(a.pid) AS blocked_by, l.mode, l.granted, "
        "a.query\nFROM pg_stat_activity a LEFT JOIN pg_locks l ON l.pid = a.pid AND NOT l.granted\n"
        "WHERE a.datname = current_database() AND a.pid <> pg_backend_pid();";
  }
  return finding;
}

class Linter {
 public:
  Linter(const schema::Script& script, std::string file, const Options& options)
      : script_(script), options_(options), places_(script.text), ignores_(ignore_comments(script)) {
    report_.file = std::move(file);
    report_.statements = script.statements.size() + script.errors.size();
  }

  Report run() && {
    add_errors();
    for (const IgnoreComment& ignore : ignores_)
      if (!ignore.problem.empty() && !report_.truncated) add(ignore_finding(ignore));
    ScriptState state(options_);
    const ScriptFacts facts(script_, options_);
    report_.names = facts.names().touched();
    report_.opaque = options_.incomplete || facts.names().opaque_before(kNever);
    for (std::size_t i = 0; i < script_.statements.size(); ++i) {
      const schema::Statement& statement = script_.statements[i];
      Context context{.script = script_, .statement = statement, .options = options_};
      state.fill(context);
      context.following = std::span(script_.statements).subspan(i + 1);
      context.facts = &facts;
      for (const Rule* rule : all_rules()) apply(*rule, context, i);
      state.after(statement);
    }
    std::ranges::stable_sort(report_.findings, [](const Finding& a, const Finding& b) {
      return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    });
    if (report_.truncated) {
      // Behind the others, and an error: what is not shown may be one.
      Finding more = framework_finding("too_many", fmt::format("the first {} are shown", kFindingsMax));
      more.line = more.end_line = report_.findings.back().line;
      report_.findings.push_back(located(std::move(more)));
    }
    return std::move(report_);
  }

 private:
  void add_errors() {
    if (script_.errors.empty()) return;
    const Offsets offsets(script_.text);
    std::set<std::size_t> ends{0};  // of all statements
    for (const schema::Statement& statement : script_.statements)
      ends.insert(statement.offset() + statement.text().size());
    for (const schema::ByteRange& range : script_.failed) ends.insert(range.end);
    for (std::size_t i = 0; i < script_.errors.size(); ++i) {
      if (report_.truncated) return;
      const schema::ByteRange& range = script_.failed[i];
      Finding finding = syntax_finding(script_.errors[i], script_.text, places_, offsets);
      finding.statement = script_.text.substr(range.begin, range.size());
      const IgnoreComment* ignore =
          ignored_error(finding.rule, {*std::prev(ends.upper_bound(range.begin)), range.end});
      if (ignore == nullptr)
        add(std::move(finding));
      else if (report_.ignored.size() < kFindingsMax)
        report_.ignored.push_back({located(std::move(finding)), ignore->why});
    }
  }

  // The comment stands between the end of the statement before and the end of this one.
  const IgnoreComment* ignored_error(std::string_view rule, schema::ByteRange range) const {
    for (const IgnoreComment& ignore : ignores_)
      if (ignore.problem.empty() && ignore.range.begin >= range.begin && ignore.range.end <= range.end &&
          std::ranges::find(ignore.rules, rule) != ignore.rules.end())
        return &ignore;
    return nullptr;
  }

  void apply(const Rule& rule, const Context& context, std::size_t index) {
    if (std::ranges::find(options_.disabled, rule.id) != options_.disabled.end()) return;
    if (rule.once && reported_.contains(rule.id)) return;
    for (Match& match : rule.check(context)) {
      Finding finding = finding_of(rule, context.statement, std::move(match), places_);
      if (const auto estimated = estimate(context)) {
        finding.seconds = estimated->seconds;
        finding.basis = estimated->basis;
      }
      if (const IgnoreComment* ignore = ignored_by(rule.id, index)) {
        if (report_.ignored.size() < kFindingsMax)
          report_.ignored.push_back({located(std::move(finding)), ignore->why});
      } else {
        add(std::move(finding));
        reported_.insert(rule.id);
        if (rule.once) return;
      }
    }
  }

  const IgnoreComment* ignored_by(std::string_view rule, std::size_t statement) const {
    // The comments come in the order of their statements.
    const auto first = std::ranges::lower_bound(ignores_, statement, {}, &IgnoreComment::statement);
    for (auto ignore = first; ignore != ignores_.end() && ignore->statement == statement; ++ignore)
      if (ignore->problem.empty() && std::ranges::find(ignore->rules, rule) != ignore->rules.end())
        return &*ignore;
    return nullptr;
  }

  Finding ignore_finding(const IgnoreComment& ignore) const {
    Finding finding = framework_finding("ignore_comment", ignore.problem);
    places_.locate(finding, schema::line_column(script_.text, ignore.range.begin),
                   schema::line_column(script_.text, ignore.range.end), ignore.range.begin, ignore.range.end);
    return finding;
  }

  Finding located(Finding finding) const {
    finding.file = report_.file;
    return finding;
  }

  void add(Finding finding) {
    if (report_.findings.size() == kFindingsMax) {
      report_.truncated = true;
      return;
    }
    report_.findings.push_back(located(std::move(finding)));
  }

  const schema::Script& script_;
  const Options& options_;
  Places places_;
  std::vector<IgnoreComment> ignores_;
  std::set<std::string_view> reported_;
  Report report_;
};

}  // namespace

const char* to_string(Severity severity) {
  return severity == Severity::kError ? "error" : "warning";
}

const Rule* find_rule(std::string_view id) {
  for (const Rule* rule : all_rules())
    if (rule->id == id) return rule;
  return nullptr;
}

std::size_t Report::errors() const {
  return static_cast<std::size_t>(std::ranges::count(findings, Severity::kError, &Finding::severity));
}

void settle_names(std::span<Report> reports) {
  std::map<std::string, std::size_t, std::less<>> files;  // how many touch the name
  for (const Report& report : reports)
    for (const std::string& name : report.names) ++files[name];
  bool opaque = false;
  for (Report& report : reports) {
    std::erase_if(report.findings, [&](const Finding& finding) {
      if (finding.subject.empty()) return false;
      if (opaque) return true;
      const auto found = files.find(finding.subject);
      return found != files.end() && found->second > (report.names.contains(finding.subject) ? 1U : 0U);
    });
    opaque = opaque || report.opaque;
  }
}

Report lint(std::string_view sql, std::string file, const Options& options) {
  const auto script = schema::parse_script(sql);
  if (script) return Linter(*script, std::move(file), options).run();
  Report report;
  report.file = std::move(file);
  Finding finding = syntax_finding(script.error(), sql, Places(sql), Offsets(sql));
  finding.file = report.file;
  report.findings.push_back(std::move(finding));
  return report;
}

}  // namespace poundlock::lint
