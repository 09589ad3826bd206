// The gate's question: are both of the application's ways alike?
#include <fmt/format.h>

#include "engine/checks/paths.h"

namespace poundlock::engine {

Result<CheckResult> check_paths(const CheckContext& context) {
  CheckResult out;
  if (!context.ports.shadow || context.plan.paths.empty()) {
    out.detail = context.plan.paths.empty() ? "no paths are declared" : "no shadow is configured";
    return out;
  }
  PL_TRY(const auto report, prove_paths(context, {}));
  out.figures = {{"failures", report.errors()}, {"compared", report.comparisons()}};
  for (const auto& finding : report.findings) {
    if (!finding.error || out.detail.size() > 1'000) continue;
    out.detail += fmt::format("{}path {}, {}: {}", out.detail.empty() ? "" : "; ", finding.path, finding.side,
                              finding.message);
  }
  if (report.errors() == 0) {
    const auto counted = [](auto count, const char* what) {
      return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
    };
    out.detail = fmt::format("{}, {} equal on {}; {}", counted(context.plan.paths.size(), "path"),
                             counted(report.comparisons(), "comparison"), report.shadow, report.statistics);
  }
  return out;
}

}  // namespace poundlock::engine
