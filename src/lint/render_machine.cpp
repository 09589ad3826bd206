#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "base/xml.h"
#include "lint/framework.h"
#include "lint/render.h"

namespace poundlock::lint {
namespace {

namespace json = boost::json;

std::string sentence(const Finding& finding) {
  std::string text = finding.title;
  if (!finding.detail.empty()) text += " (" + finding.detail + ")";
  return text + ". " + finding.reason;
}

std::string whole(const Finding& finding) {
  std::string text = sentence(finding) + " " + finding.fix;
  if (finding.seconds) text += fmt::format(" About {} ({}).", duration_text(*finding.seconds), finding.basis);
  return text;
}

json::object to_json(const Finding& finding) {
  json::object out{{"file", finding.file},
                   {"line", finding.line},
                   {"column", finding.column},
                   {"end_line", finding.end_line},
                   {"end_column", finding.end_column},
                   {"rule", finding.rule},
                   {"severity", to_string(finding.severity)},
                   {"message", sentence(finding)},
                   {"fix", finding.fix},
                   {"text", finding.text},
                   {"title", finding.title},
                   {"detail", finding.detail},
                   {"reason", finding.reason},
                   {"rewrite", finding.rewrite}};
  if (finding.seconds) {
    out["seconds"] = *finding.seconds;
    out["basis"] = finding.basis;
  }
  return out;
}

// SARIF names files by URI references: everything but unreserved characters and slashes is escaped.
std::string uri(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("/-._~").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

json::object sarif_result(const Finding& finding) {
  return {{"ruleId", finding.rule},
          {"level", to_string(finding.severity)},
          {"message", {{"text", whole(finding)}}},
          {"locations", json::array{json::object{{"physicalLocation",
                                                  {{"artifactLocation", {{"uri", uri(finding.file)}}},
                                                   {"region",
                                                    {{"startLine", finding.line},
                                                     {"startColumn", finding.column},
                                                     {"endLine", finding.end_line},
                                                     {"endColumn", finding.end_column}}}}}}}}};
}

json::object sarif_rule(std::string_view id, std::string_view title, std::string_view reason,
                        std::string_view fix, std::string_view level) {
  return {{"id", id},
          {"shortDescription", {{"text", title}}},
          {"fullDescription", {{"text", reason}}},
          {"help", {{"text", fix}}},
          {"defaultConfiguration", {{"level", level}}}};
}

json::array sarif_rules() {
  json::array rules;
  for (const Rule* rule : all_rules())
    rules.push_back(sarif_rule(rule->id, rule->title, rule->reason, rule->fix, to_string(rule->severity)));
  for (const FrameworkRule& rule : framework_rules())
    rules.push_back(sarif_rule(rule.id, rule.title, rule.reason, rule.fix, to_string(rule.severity)));
  return rules;
}

}  // namespace

std::string render_json(std::span<const Report> reports) {
  json::array findings;
  for (const Report& report : reports)
    for (const Finding& finding : report.findings) findings.push_back(to_json(finding));
  return json::serialize(findings) + "\n";
}

std::string render_sarif(std::span<const Report> reports, std::string_view version) {
  json::array results;
  for (const Report& report : reports) {
    for (const Finding& finding : report.findings) results.push_back(sarif_result(finding));
    for (const Ignored& ignored : report.ignored) {
      json::object result = sarif_result(ignored.finding);
      result["suppressions"] =
          json::array{json::object{{"kind", "inSource"}, {"justification", ignored.why}}};
      results.push_back(std::move(result));
    }
  }
  json::object run{
      {"tool", {{"driver", {{"name", "poundlock"}, {"version", version}, {"rules", sarif_rules()}}}}},
      {"columnKind", "unicodeCodePoints"},
      {"results", std::move(results)}};
  return json::serialize(json::object{{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                                      {"version", "2.1.0"},
                                      {"runs", json::array{std::move(run)}}}) +
         "\n";
}

std::string render_junit(std::span<const Report> reports) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"poundlock lint\">\n";
  for (const Report& report : reports) {
    std::map<std::string, std::vector<const Finding*>> by_rule;
    for (const Rule* rule : all_rules()) by_rule[std::string(rule->id)];
    for (const FrameworkRule& rule : framework_rules()) by_rule[std::string(rule.id)];
    for (const Finding& finding : report.findings) by_rule[finding.rule].push_back(&finding);
    std::size_t failures = 0;
    for (const auto& [rule, findings] : by_rule) failures += findings.empty() ? 0 : 1;
    out += fmt::format("  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">\n", xml_escaped(report.file),
                       by_rule.size(), failures);
    for (const auto& [rule, findings] : by_rule) {
      out += fmt::format("    <testcase classname=\"{}\" name=\"{}\"", xml_escaped(report.file),
                         xml_escaped(rule));
      if (findings.empty()) {
        out += "/>\n";
        continue;
      }
      out += ">\n";
      // JUnit allows one failure a case: the first is its message, all are its text.
      std::string text;
      for (const Finding* finding : findings)
        text += fmt::format("{}:{}:{}: {}\n{}\n", finding->file, finding->line, finding->column,
                            whole(*finding), finding->text);
      out += fmt::format("      <failure type=\"{}\" message=\"{}\">{}</failure>\n    </testcase>\n",
                         to_string(findings.front()->severity), xml_escaped(whole(*findings.front())),
                         xml_escaped(text));
    }
    out += "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

}  // namespace poundlock::lint
