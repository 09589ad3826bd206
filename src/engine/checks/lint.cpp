// The plan's own SQL against the lint rules, each step as the script that will run.
#include "lint/lint.h"

#include <fmt/format.h>

#include "engine/checks.h"

namespace poundlock::engine {
namespace {

// Removing the legacy side is what a contract is for; the reference gate and an approval guard it.
bool meant(const rollout::Item& item, const lint::Finding& finding) {
  return item.step->destructive && finding.rule == "drop_column_or_table";
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

Result<CheckResult> check_lint(const CheckContext& context) {
  CheckResult out;
  double findings = 0, statements = 0;
  for (const auto& item : context.plan.items) {
    if (!item.step || item.step->sql.empty()) continue;
    const lint::Report report = lint::lint(script_of(*item.step), item.id);
    statements += static_cast<double>(item.step->sql.size());
    for (const auto& finding : report.findings) {
      if (finding.severity != lint::Severity::kError || meant(item, finding)) continue;
      findings += 1;
      if (out.detail.size() < 500)
        out.detail += fmt::format("{}: {} ({}); ", item.id, finding.title, finding.fix);
    }
  }
  out.figures = {{"findings", findings}, {"statements", statements}};
  if (out.detail.empty()) out.detail = fmt::format("{:.0f} statements, nothing objected to", statements);
  return out;
}

}  // namespace poundlock::engine
