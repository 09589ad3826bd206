#include "pages.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/time.h"
#include "change/operation.h"
#include "flag/operator.h"
#include "lint/lint.h"
#include "rollout/gate.h"
#include "squawk_cases.h"

namespace poundlock::reference {
namespace {

std::string head(std::string_view title, std::string_view folder, std::string_view how_to) {
  return fmt::format(
      "# {}\n\nMade by `./dev golden reference` from the files in `{}`; edit those. How to add one: "
      "[{}](../how-to/{}).\n\n",
      title, folder, how_to, how_to);
}

std::string moments_text(rollout::Moments moments) {
  std::string text;
  for (unsigned bit = 0; bit < 32; ++bit) {
    const auto moment = static_cast<rollout::Moment>(1U << bit);
    if (!rollout::has(moments, moment)) continue;
    if (!text.empty()) text += ", ";
    text += rollout::to_string(moment);
  }
  return text;
}

std::string_view class_text(rollout::GateClass gate_class) {
  switch (gate_class) {
    case rollout::GateClass::kDifferential: return "the new side against legacy or the baseline";
    case rollout::GateClass::kAbsolute: return "a limit that holds by itself";
    case rollout::GateClass::kHealth: return "the database's health against the baseline";
  }
  return "";
}

std::string_view failure_text(rollout::OnFailure on_failure) {
  switch (on_failure) {
    case rollout::OnFailure::kRollback: return "rolls back at once";
    case rollout::OnFailure::kPause: return "pauses; rolls back when it still fails at the deadline";
    case rollout::OnFailure::kBlock: return "goes no further";
  }
  return "";
}

std::string sql_block(std::string_view label, std::string_view sql) {
  const bool ended = sql.ends_with('\n');
  return fmt::format("\n{}:\n\n```sql\n{}{}```\n", label, sql, ended ? "" : "\n");
}

std::string indented(std::string_view text, int by) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += fmt::format("{:{}}{}\n", "", by, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string gates_page() {
  std::string page = head("Gates", "src/rollout/gates", "add-a-gate.md");
  page +=
      "The name is the key under `gates:` in a rollout file, where `limit`, `min_samples` and `deadline` "
      "may differ, or the gate be waived with a reason. A gate without data holds; past its deadline "
      "that counts as a failure.\n";
  for (const rollout::Gate* gate : rollout::all_gates()) {
    page += fmt::format("\n## `{}`\n\n{}\n\n| | |\n|---|---|\n", gate->id, gate->why);
    page += fmt::format("| title | {} |\n| limit | {}{}{} |\n", cell(gate->title), gate->limit,
                        gate->unit == "count" ? "" : " ", gate->unit == "count" ? "" : gate->unit);
    page += fmt::format("| compares | {} |\n| a failure | {} |\n", class_text(gate->gate_class),
                        failure_text(gate->on_failure));
    page += fmt::format("| judged at | {} |\n| deadline | {} |\n", moments_text(gate->moments),
                        format_duration(gate->deadline));
    if (gate->min_samples > 0) page += fmt::format("| samples to pass | {} |\n", gate->min_samples);
  }
  return page;
}

std::string lint_rules_page() {
  std::string page = head("Lint rules", "src/lint/rules", "add-a-lint-rule.md");
  page +=
      "To take a finding back, write `-- poundlock: ignore RULE reason` at the statement; the reason is "
      "required and stays visible. Each rule's page has its examples, which a test runs, and what to write "
      "instead. An error makes the exit code 1; on a table that the catalog shows to be small some errors "
      "are warnings. [How another linter judges the same statements](../rules/compared.md).\n"
      "\n| rule | severity | finds |\n|---|---|---|\n";
  for (const lint::Rule* rule : lint::all_rules())
    page += fmt::format("| [`{0}`](../rules/{0}.md) | {1} | {2} |\n", rule->id,
                        lint::to_string(rule->severity), cell(rule->title));
  return page;
}

std::string lint_rule_page(const lint::Rule& rule) {
  std::string page = fmt::format(
      "# `{0}`\n\nMade by `./dev golden reference` from `src/lint/rules/{0}.cpp`; edit that. "
      "[All rules](../reference/lint-rules.md).\n\n{1}: {2}\n\n- **What happens:** {3}\n"
      "- **Instead:** {4}\n",
      rule.id, lint::to_string(rule.severity), rule.title, rule.reason, rule.fix);
  if (rule.examples.repeatable) page += "\nThe examples stand in a file that its runner runs again.\n";
  if (rule.examples.catalog != nullptr) page += "\nFor the examples the database's schema is known.\n";
  for (const std::string_view sql : rule.bad) {
    page += sql_block("Refused", sql);
    for (const lint::Finding& finding : lint::lint(sql, "example.sql", rule.examples).findings) {
      if (finding.rule != rule.id || finding.rewrite.empty()) continue;
      page += sql_block("In its place", finding.rewrite);
      break;
    }
  }
  for (const std::string_view sql : rule.good) page += sql_block("Accepted", sql);
  return page;
}

std::string compared_page() {
  std::string page =
      "# Compared with squawk\n\nMade by `./dev golden reference` from `tests/reference/squawk_cases.h`; "
      "edit that. A scenario test (`squawk_test`) runs squawk-cli ";
  page += kSquawkVersion;
  page +=
      " and this lint on an example of what each of its rules refuses and one of what it lets pass, and "
      "fails "
      "when a verdict is other than written here.\n\n## Where both have the rule\n\n"
      "The verdicts agree, on the refused example and on the accepted one.\n\n| squawk | here |\n|---|---|\n";
  for (const SquawkCase& one : kSquawkCases)
    if (one.why.empty()) page += fmt::format("| `{0}` | [`{1}`]({1}.md) |\n", one.rule, one.ours);
  page += "\n## Where the verdicts differ, and why\n\n| squawk | here | why |\n|---|---|---|\n";
  for (const SquawkCase& one : kSquawkCases)
    if (!one.why.empty())
      page += fmt::format("| `{}` | {} | {} |\n", one.rule,
                          one.ours.empty() ? "" : fmt::format("[`{0}`]({0}.md)", one.ours), cell(one.why));
  page += "\n## Rules that only this lint has\n\n";
  for (const lint::Rule* rule : lint::all_rules()) {
    const bool shared =
        std::ranges::any_of(kSquawkCases, [&](const SquawkCase& one) { return one.ours == rule->id; });
    if (!shared) page += fmt::format("- [`{0}`]({0}.md): {1}\n", rule->id, rule->title);
  }
  return page;
}

std::string operations_page() {
  std::string page = head("Operations", "src/change/operations", "add-an-operation.md");
  page += "One entry of `change:` in a rollout file is a mapping with one of these keys.\n";
  for (const change::OperationKind* kind : change::all_operations()) {
    page +=
        fmt::format("\n## `{}`\n\n{}\n\n```yaml\nchange:\n  - {}:\n", kind->name, kind->summary, kind->name);
    page += indented(kind->example, 6) + "```\n";
  }
  return page;
}

std::string flag_operators_page() {
  std::string page =
      "# Operators of flag rules\n\nMade by `./dev golden reference` from the files in "
      "`src/flag/operators`; edit those.\n\n| operator | answers | example |\n|---|---|---|\n";
  for (const flag::Operator* op : flag::all_operators()) {
    page += fmt::format("| `{}` | {} | `{}` |\n", cell(op->name), cell(op->summary), cell(op->example));
  }
  return page;
}

}  // namespace poundlock::reference
