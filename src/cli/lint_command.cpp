// lint: what in these migrations would hurt a live database. Needs no server, no database, no configuration.
#include <fmt/format.h>

#include <algorithm>

#include "base/yaml.h"
#include "cli/commands.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "lint/render.h"
#include "rollout/gate.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

struct LintArguments {
  std::vector<std::string> files;     // SQL, rollout files (.yaml), folders of them, "-"
  std::vector<std::string> disabled;  // rule ids
  bool in_transaction = false;
};

namespace fs = std::filesystem;
constexpr std::size_t kFilesMax = 10'000;

bool is_yaml(const fs::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml";
}

// Other YAML lies beside migrations too. A rollout that is no YAML yet is taken, so that its mistake is told.
bool holds_rollout(const Context& context, const std::string& file) {
  const auto text = read_file(context, file);
  if (!text) return false;
  if (const auto root = yaml::parse(*text, file)) return root->find("rollout") != nullptr;
  return text->starts_with("rollout:") || text->find("\nrollout:") != std::string::npos;
}

// A folder stands for the SQL files and the rollouts below it, in the order of their names.
Result<std::vector<std::string>> expand(const Context& context, const std::vector<std::string>& named) {
  std::vector<std::string> out;
  for (const auto& one : named) {
    std::error_code error;
    if (one == "-" || !fs::is_directory(context.directory / one, error)) {
      out.push_back(one);
      continue;
    }
    std::vector<std::string> found;
    for (auto it = fs::recursive_directory_iterator(context.directory / one, error);
         !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
      if (!it->is_regular_file(error)) continue;
      const auto file = (fs::path(one) / it->path().lexically_relative(context.directory / one)).string();
      if (it->path().extension() == ".sql" || (is_yaml(it->path()) && holds_rollout(context, file)))
        found.push_back(file);
      if (found.size() > kFilesMax)
        return fail(
            user_error("lint.files", fmt::format("more than {} files below {}", kFilesMax, clean(one))));
    }
    if (found.empty())
      return fail(user_error("lint.files", fmt::format("no .sql file and no rollout below {}", clean(one))));
    std::sort(found.begin(), found.end());
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

Status check_rules(const std::vector<std::string>& disabled) {
  for (const auto& id : disabled) {
    if (lint::find_rule(id)) continue;
    std::string known;
    for (const auto* rule : lint::all_rules()) known += (known.empty() ? "" : ", ") + std::string(rule->id);
    return fail(user_error("lint.rule", fmt::format("there is no lint rule {}", clean(id)))
                    .with_hint("the rules are " + known));
  }
  return {};
}

Result<lint::Report> lint_one(const Context& context, const LintArguments& arguments,
                              const std::string& file) {
  PL_TRY(const std::string text, read_file(context, file));
  if (is_yaml(file)) {
    // A rollout file holds no statements of its own to lint: its steps are made safe by construction. What
    // can be wrong is the file, and that is an error with its place.
    PL_TRY(const auto spec, rollout::parse_rollout(text, file));
    lint::Report report;
    report.file = file;
    return report;
  }
  lint::Options options;
  options.in_transaction = arguments.in_transaction;
  options.disabled = arguments.disabled;
  return lint::lint(text, file == "-" ? "<stdin>" : file, options);
}

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
    if (is_yaml(report.file))
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

int lint_command(Context& context, const LintArguments& arguments) {
  if (auto status = check_rules(arguments.disabled); !status) return report(context, status.error());
  const auto files = expand(context, arguments.files);
  if (!files) return report(context, files.error());
  std::vector<lint::Report> reports;
  std::size_t errors = 0;
  for (const auto& file : *files) {
    auto one = lint_one(context, arguments, file);
    if (!one) return report(context, one.error());
    errors += one->errors();
    reports.push_back(std::move(*one));
  }
  std::string text = render(context, reports);
  if (!text.empty() && text.back() != '\n') text += '\n';
  context.out << text << std::flush;
  return errors == 0 ? 0 : 1;
}

}  // namespace

void add_lint(CLI::App& app, Context& context) {
  auto a = std::make_shared<LintArguments>();
  auto* lint = add_verb(app, context, "lint", "what in SQL files would hurt a live database",
                        [&context, a] { return lint_command(context, *a); }, {"sarif", "junit", "github"});
  lint->add_option("file", a->files, "SQL files, folders, rollout files, - for standard input")->required();
  lint->add_option("--disable", a->disabled, "rules to leave out");
  lint->add_flag("--in-transaction", a->in_transaction, "the runner puts each file into one transaction");
}

}  // namespace poundlock::cli
