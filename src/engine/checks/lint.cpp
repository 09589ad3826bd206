// The plan's own SQL against the lint rules, each step as the script that will run.
#include "lint/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "engine/checks.h"

namespace poundlock::engine {
namespace {

// Removing the legacy side is what a contract is for; the reference gate and an approval guard it. Trigger,
// function and column go in one short transaction, so that no writer meets one without the other.
bool meant(const rollout::Item& item, const lint::Finding& finding) {
  return item.step->destructive &&
         (finding.rule == "drop_column_or_table" || finding.rule == "work_under_lock");
}

std::string script_of(const change::Step& step) {
  const bool transaction = step.kind == change::StepKind::kTransaction;
  std::string out = transaction ? "BEGIN;\n" : "";
  const std::string set = transaction ? "SET LOCAL" : "SET";
  // As the step runner sends them; a step that takes no table lock still runs under a bound.
  out += fmt::format("{} lock_timeout = '{}ms';\n", set,
                     step.lock_timeout.count() > 0 ? step.lock_timeout.count() : 50);
  out += fmt::format("{} statement_timeout = '{}ms';\n", set,
                     step.statement_timeout.count() > 0 ? step.statement_timeout.count() : 86'400'000);
  for (const auto& sql : step.sql) out += sql + ";\n";
  return out + (transaction ? "COMMIT;\n" : "");
}

}  // namespace

// All steps as one script, since a later step is safe because of an earlier one: SET NOT NULL after a
// validated CHECK.
Result<CheckResult> check_lint(const CheckContext& context) {
  CheckResult out;
  double findings = 0, statements = 0;
  std::string script;
  std::map<int, const rollout::Item*> first_lines;
  int line = 1;
  for (const auto& item : context.plan.items) {
    if (!item.step || item.step->sql.empty()) continue;
    first_lines[line] = &item;
    const std::string text = script_of(*item.step);
    line += static_cast<int>(std::count(text.begin(), text.end(), '\n'));
    script += text;
    statements += static_cast<double>(item.step->sql.size());
  }
  // The step runner knows an index that its time-outs have left invalid, drops it and builds it again.
  const lint::Report report = lint::lint(script, "the plan", {.disabled = {"online_work_under_timeout"}});
  for (const auto& finding : report.findings) {
    const auto after = first_lines.upper_bound(finding.line);
    const rollout::Item* item = after == first_lines.begin() ? nullptr : std::prev(after)->second;
    if (finding.severity != lint::Severity::kError || (item && meant(*item, finding))) continue;
    findings += 1;
    if (out.detail.size() < 500)
      out.detail += fmt::format("{}: {} ({}); ", item ? item->id : "plan", finding.title, finding.fix);
  }
  out.figures = {{"findings", findings}, {"statements", statements}};
  if (out.detail.empty()) out.detail = fmt::format("{:.0f} statements, nothing objected to", statements);
  return out;
}

}  // namespace poundlock::engine
