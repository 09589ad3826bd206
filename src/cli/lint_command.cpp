// lint: what in these migrations would hurt a live database. Needs no server, no database, no configuration.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "cli/commands.h"
#include "cli/lint_files.h"
#include "cli/lint_server.h"
#include "cli/migration_files.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "lint/framework.h"
#include "lint/render.h"
#include "migration/source_lint.h"
#include "rollout/gate.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

struct LintArguments {
  std::vector<std::string> files;       // SQL, rollout files (.yaml), folders of them, "-"
  std::vector<std::string> disabled;    // rule ids
  std::vector<std::string> severities;  // RULE=off|warning|error
  std::string explain;
  bool list = false;
  bool in_transaction = false;
  std::string database_url, database, shadow;
};

constexpr std::size_t kRunFindingsMax = 20'000;  // over all files: a finding has a kilobyte of text

Status known_rule(const std::string& id) {
  if (lint::find_rule(id) != nullptr || lint::find_framework_rule(id) != nullptr) return {};
  const auto near = lint::nearest_rule(id);
  return fail(user_error("lint.rule", fmt::format("there is no lint rule {}", clean(id)))
                  .with_hint(near.empty() ? "`poundlock lint --list-rules` names them"
                                          : fmt::format("did you mean {}?", near)));
}

// The command line outranks the file.
Status add_arguments(const LintArguments& arguments, lint::Settings& settings) {
  for (const auto& id : arguments.disabled) {
    PL_CHECK(known_rule(id));
    settings.rules[id] = {std::nullopt, "--disable"};
  }
  for (const auto& one : arguments.severities) {
    const auto equals = one.find('=');
    const std::string id = one.substr(0, equals);
    const std::string level = equals == std::string::npos ? "" : one.substr(equals + 1);
    PL_CHECK(known_rule(id));
    if (level != "off" && level != "warning" && level != "error")
      return fail(
          user_error("usage", fmt::format("--severity {}: expected RULE=off, warning or error", clean(one)))
              .with_hint("--severity missing_timeouts=error"));
    lint::RuleSetting setting{.reason = "--severity"};
    if (level != "off")
      setting.severity = level == "error" ? lint::Severity::kError : lint::Severity::kWarning;
    settings.rules[id] = setting;
  }
  settings.in_transaction = settings.in_transaction || arguments.in_transaction;
  return {};
}

// One run over all files: what it may ask, and what it has found.
class Run {
 public:
  Run(Context& context, const LintArguments& arguments) : context_(context), arguments_(arguments) {}

  Result<std::vector<lint::Report>> run() {
    PL_TRY(auto found, find_lint_settings(context_));
    PL_CHECK(add_arguments(arguments_, found.settings));
    settings_ = found.settings;
    lint::apply(settings_, options_);
    PL_TRY(const LintFiles files, lint_files(context_, arguments_.files, found));
    left_out_ = files.left_out;
    PL_CHECK(connect());
    std::vector<lint::Report> reports;
    for (const auto& file : files.files) {
      PL_TRY(lint::Report one, lint_one(file));
      count_ += one.findings.size();
      reports.push_back(std::move(one));
    }
    migration::add_same_versions(sources_, reports);
    lint::settle_names(reports);
    for (lint::Report& report : reports) lint::apply(settings_, report);
    return reports;
  }

  std::size_t left_out() const { return left_out_; }

 private:
  Status connect() {
    if (!arguments_.database_url.empty() || !arguments_.database.empty()) {
      PL_TRY(const auto database, open_database(context_, arguments_.database_url, arguments_.database));
      PL_TRY(server_, LintServer::connect(*database, true));
      options_.catalog = &server_->catalog();
      options_.relations = &server_->relations();
    }
    if (!arguments_.shadow.empty()) {
      PL_TRY(const auto shadow, open_database(context_, arguments_.shadow, ""));
      PL_TRY(shadow_, LintServer::connect(*shadow, false));
    }
    return {};
  }

  Result<lint::Report> lint_one(const std::string& file) {
    if (is_rollout_name(file)) {
      // A rollout file holds no statements of its own to lint: its steps are made safe by construction. What
      // can be wrong is the file, and that is an error with its place.
      PL_TRY(const std::string text, read_file(context_, file));
      PL_TRY(const auto spec, rollout::parse_rollout(text, file));
      lint::Report report;
      report.file = file;
      return report;
    }
    PL_TRY(const std::string text, read_file(context_, file, kLintBytesMax));
    PL_TRY(const auto conf, script_configuration(context_, file));
    if (count_ > kRunFindingsMax) {
      lint::Report report;
      report.file = file;
      report.findings.push_back(lint::file_finding(
          "too_many", file, user_error("lint.many", fmt::format("{} in the files before it", count_))));
      return report;
    }
    lint::Report report = migration::lint_file(text, file == "-" ? "<stdin>" : file,
                                               conf ? std::optional<std::string_view>(*conf) : std::nullopt,
                                               options_, sources_);
    if (auto* parser = shadow_ ? &*shadow_ : server_ ? &*server_ : nullptr) PL_CHECK(parser->judge(report));
    return report;
  }

  Context& context_;
  const LintArguments& arguments_;
  lint::Settings settings_;
  lint::Options options_;
  std::optional<LintServer> server_, shadow_;
  std::vector<migration::Source> sources_;
  std::size_t count_ = 0;
  std::size_t left_out_ = 0;
};

// Workflow commands of GitHub Actions; what they give a meaning is escaped.
std::string escaped(std::string_view text, bool property) {
  std::string out;
  for (const char c : clean_lines(text)) {
    if (c == '%')
      out += "%25";
    else if (c == '\n')
      out += "%0A";
    else if (c == '\r')
      out += "%0D";
    else if (property && c == ':')
      out += "%3A";
    else if (property && c == ',')
      out += "%2C";
    else
      out += c;
  }
  return out;
}

std::string render_github(const std::vector<lint::Report>& reports) {
  std::string out;
  for (const auto& report : reports) {
    for (const auto& one : report.findings) {
      std::string text = one.reason + "\n" + one.fix + (one.rewrite.empty() ? "" : "\n" + one.rewrite);
      out +=
          fmt::format("::{} file={},line={},endLine={},col={},endColumn={},title={}::{}\n",
                      to_string(one.severity), escaped(one.file, true), one.line, one.end_line, one.column,
                      one.end_column, escaped(one.title + " [" + one.rule + "]", true), escaped(text, false));
    }
  }
  return out;
}

// What holds no statement of its own is told by itself: "no finding in 0 statements" would praise a look at
// nothing.
std::string render_text(const Context& context, const std::vector<lint::Report>& reports) {
  std::string out;
  std::vector<lint::Report> with_statements;
  for (const auto& report : reports) {
    const std::string file = clean(report.file);
    if (is_rollout_name(report.file))
      out += fmt::format(
          "{}: reads well; its statements are linted in prepare, and `poundlock plan --sql {}` shows them\n",
          file, file);
    else if (report.statements == 0 && report.findings.empty() && report.ignored.empty())
      out += fmt::format("{}: holds no statement\n", file);
    else
      with_statements.push_back(report);
  }
  return with_statements.empty() ? out : out + lint::render_text(with_statements, context.colour);
}

std::string render(const Context& context, const std::vector<lint::Report>& reports) {
  if (context.output == "json") return lint::render_json(reports);
  if (context.output == "sarif") return lint::render_sarif(reports, "0.1.0");
  if (context.output == "junit") return lint::render_junit(reports);
  if (context.output == "github") return render_github(reports);
  return render_text(context, reports);
}

// Id, severity and title of each; with its texts and examples where one is asked for.
int list_rules(Context& context) {
  if (context.json) {
    boost::json::array out;
    for (const auto* rule : lint::all_rules())
      out.push_back({{"rule", rule->id}, {"severity", to_string(rule->severity)}, {"title", rule->title}});
    for (const auto& rule : lint::framework_rules())
      out.push_back({{"rule", rule.id}, {"severity", to_string(rule.severity)}, {"title", rule.title}});
    print_json(context, out);
    return 0;
  }
  Table table({"rule", "severity", "what is wrong"});
  for (const auto* rule : lint::all_rules())
    table.add({std::string(rule->id), to_string(rule->severity), std::string(rule->title)});
  for (const auto& rule : lint::framework_rules())
    table.add({std::string(rule.id), to_string(rule.severity), std::string(rule.title)});
  context.out << table.render(context.paint(), context.width) << std::flush;
  return 0;
}

void explain_examples(Context& context, const char* label, const std::vector<std::string_view>& examples) {
  for (const std::string_view example : examples) {
    say(context, fmt::format("\n{}:", label));
    for (std::string_view rest = example; !rest.empty();) {
      const auto end = std::min(rest.find('\n'), rest.size());
      say(context, fmt::format("  {}", rest.substr(0, end)));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
}

int explain_rule(Context& context, const std::string& id) {
  if (auto status = known_rule(id); !status) return report(context, status.error());
  const auto* rule = lint::find_rule(id);
  const auto* framework = lint::find_framework_rule(id);
  const auto severity = rule ? rule->severity : framework->severity;
  const auto title = rule ? rule->title : framework->title;
  const auto reason = rule ? rule->reason : framework->reason;
  const auto fix = rule ? rule->fix : framework->fix;
  if (context.json) {
    print_json(context, {{"rule", id},
                         {"severity", to_string(severity)},
                         {"title", title},
                         {"reason", reason},
                         {"fix", fix}});
    return 0;
  }
  say(context, fmt::format("{} ({}): {}", id, to_string(severity), title));
  for (const auto& line : wrap(fmt::format("Why: {}", reason), 100)) say(context, line);
  for (const auto& line : wrap(fmt::format("Instead: {}", fix), 100)) say(context, line);
  if (rule) {
    explain_examples(context, "Refused", rule->bad);
    explain_examples(context, "Accepted", rule->good);
  }
  return 0;
}

int lint_command(Context& context, const LintArguments& arguments) {
  if (arguments.list) return list_rules(context);
  if (!arguments.explain.empty()) return explain_rule(context, arguments.explain);
  if (arguments.files.empty())
    return report(context, user_error("usage", "name SQL files, folders, or - for standard input")
                               .with_hint("`poundlock lint migrations/`, `poundlock lint --help`"));
  Run run(context, arguments);
  const auto reports = run.run();
  if (!reports) return report(context, reports.error());
  std::size_t errors = 0;
  for (const auto& one : *reports) errors += one.errors();
  std::string text = render(context, *reports);
  if (run.left_out() > 0 && context.output == "text")
    text += fmt::format("{} file{} left out, as the settings say\n", run.left_out(),
                        run.left_out() == 1 ? "" : "s");
  // A program reads "[]" as "all is well": a person who looks at the job's log is told that nothing was read.
  if (run.left_out() > 0 && reports->empty() && context.output != "text")
    context.err << "note: nothing was linted: the settings leave out all files that are named\n"
                << std::flush;
  if (!text.empty() && text.back() != '\n') text += '\n';
  context.out << text << std::flush;
  return errors == 0 ? 0 : 1;
}

}  // namespace

void add_lint(CLI::App& app, Context& context) {
  auto a = std::make_shared<LintArguments>();
  auto* lint = add_verb(app, context, "lint", "what in SQL files would hurt a live database",
                        [&context, a] { return lint_command(context, *a); }, {"sarif", "junit", "github"});
  lint->add_option("file", a->files,
                   "SQL files, folders, rollout files, - for standard input; Flyway, Liquibase, Alembic and "
                   "Django are known by name or content");
  add_each(*lint, "--disable", a->disabled, "a rule to leave out; given once for each");
  add_each(*lint, "--severity", a->severities, "RULE=off, warning or error; given once for each");
  lint->add_flag("--in-transaction", a->in_transaction,
                 "the runner puts each plain file into one transaction");
  lint->add_option(
      "--database-url", a->database_url,
      "judge by this database's types, sizes, indexes and constraints; nothing is changed there");
  lint->add_option("--database", a->database, "the same, with a database of poundlock.yaml");
  lint->add_option("--shadow", a->shadow,
                   "a database whose parser is asked about syntax newer than PostgreSQL 15's");
  lint->add_flag("--list-rules", a->list, "what is looked for");
  lint->add_option("--explain", a->explain, "one rule, with its reason and its examples");
}

}  // namespace poundlock::cli
