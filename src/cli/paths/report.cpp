#include "cli/paths/report.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/xml.h"
#include "cli/bar.h"
#include "cli/table.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
using engine::PathFinding;
using engine::PathsReport;
using engine::Side;

bj::value tried(const std::optional<bool>& works) {
  return works ? bj::value(*works) : bj::value(nullptr);
}

std::string word(const std::optional<bool>& works) {
  return !works ? "-" : *works ? "works" : "no";
}

bj::array statements_json(const PathsReport& report) {
  bj::array out;
  for (const auto& one : report.works)
    out.push_back(bj::object{{"path", one.path},
                             {"side", engine::to_string(one.side)},
                             {"before_expand", tried(one.before_expand)},
                             {"after_expand", tried(one.after_expand)},
                             {"after_contract", tried(one.after_contract)}});
  return out;
}

bj::array findings_json(const PathsReport& report) {
  bj::array out;
  for (const auto& one : report.findings)
    out.push_back(bj::object{{"path", one.path},
                             {"side", one.side},
                             {"kind", one.kind},
                             {"severity", one.error ? "error" : "warning"},
                             {"message", one.message},
                             {"fix", one.fix}});
  return out;
}

std::string place(const PathFinding& finding) {
  if (finding.path.empty()) return "the change";
  return finding.path + (finding.side == "both" ? "" : ", " + finding.side);
}

}  // namespace

bj::value paths_json(const rollout::Plan& plan, const PathsReport& report) {
  bj::array compared, plans;
  for (const auto& one : report.compared)
    compared.push_back(bj::object{{"path", one.path},
                                  {"writes", one.writes},
                                  {"compared", one.compared},
                                  {"skipped", one.skipped},
                                  {"values_left_out", one.left_out},
                                  {"rows", one.rows}});
  for (const auto& one : report.planned)
    plans.push_back(bj::object{{"path", one.path},
                               {"legacy_cost", one.legacy_cost},
                               {"new_cost", one.fresh_cost},
                               {"legacy_plan", one.legacy_plan},
                               {"new_plan", one.fresh_plan}});
  return bj::object{{"passed", report.errors() == 0},
                    {"rollout", plan.rollout},
                    {"shadow", report.shadow},
                    {"statistics", report.statistics},
                    {"statements", statements_json(report)},
                    {"compared", std::move(compared)},
                    {"plans", std::move(plans)},
                    {"findings", findings_json(report)}};
}

std::string paths_junit(const rollout::Plan& plan, const PathsReport& report) {
  std::string cases;
  int failures = 0;
  const auto add_case = [&](const std::string& name) {
    std::string text;
    for (const auto& one : report.findings)
      if (one.path == name && one.error)
        text += fmt::format("{} ({}): {}\n", one.kind, one.side, one.message);
    if (name.empty() && text.empty()) return;
    cases += fmt::format("    <testcase classname=\"{}\" name=\"{}\"", xml_escaped(plan.rollout),
                         name.empty() ? "the change" : xml_escaped(name));
    if (text.empty()) {
      cases += "/>\n";
      return;
    }
    ++failures;
    cases += fmt::format(">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                         xml_escaped(text.substr(0, text.find('\n'))), xml_escaped(text));
  };
  for (const auto& path : plan.paths) add_case(path.name);
  add_case("");
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"poundlock paths\">\n"
      "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">\n{}  </testsuite>\n</testsuites>\n",
      xml_escaped(plan.rollout), plan.paths.size(), failures, cases);
}

void print_paths(Context& context, const rollout::Plan& plan, const PathsReport& report) {
  Table works({"path", "side", "before expand", "after expand", "after contract"});
  for (const auto& one : report.works)
    works.add({one.path, engine::to_string(one.side), word(one.before_expand), word(one.after_expand),
               word(one.after_contract)});
  context.out << works.render(context.paint(), context.width) << "\n";
  Table compared({"path", Column("compared", Align::kRight), Column("rows", Align::kRight),
                  Column("legacy cost", Align::kRight), Column("new cost", Align::kRight), "new plan"});
  for (const auto& one : report.compared) {
    const engine::PathPlanned* planned = nullptr;
    for (const auto& candidate : report.planned)
      if (candidate.path == one.path) planned = &candidate;
    compared.add({one.path, fmt::format("{}", one.compared), format_count(one.rows),
                  planned ? fmt::format("{:.1f}", planned->legacy_cost) : "-",
                  planned ? fmt::format("{:.1f}", planned->fresh_cost) : "-",
                  planned ? planned->fresh_plan : ""});
  }
  context.out << compared.render(context.paint(), context.width) << "\n";
  for (const auto& one : report.findings) {
    const Colour colour = one.error ? Colour::kRed : Colour::kYellow;
    say(context, fmt::format("{} {}: {}", context.paint()(colour, one.error ? "error" : "warning"),
                             clean(place(one)), clean(one.message)));
    if (!one.fix.empty()) say(context, "  " + clean(one.fix));
  }
  const int errors = report.errors();
  say(context,
      fmt::format(
          "{} on {}; plans by {}",
          errors == 0
              ? context.paint()(Colour::kGreen, fmt::format("{} {} alike", plan.paths.size(),
                                                            plan.paths.size() == 1 ? "path is" : "paths are"))
              : context.paint()(Colour::kRed, fmt::format("{} error{}", errors, errors == 1 ? "" : "s")),
          clean(report.shadow), report.statistics));
}

}  // namespace poundlock::cli
