// Compares semantic versions (semver.org 2.0.0; flagd's custom operation `sem_ver`). Nothing is cut out
// into memory: a version is views into its text.
#include <algorithm>
#include <optional>

#include "flag/operator.h"

namespace poundlock::flag {

namespace {

struct Version {
  std::string_view core[3] = {"0", "0", "0"};
  std::string_view prerelease;
};

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool valid_number(std::string_view text) {
  return all_digits(text) && (text.size() == 1 || text[0] != '0');
}

// Dot-separated identifiers of letters, digits and hyphens; numeric ones have no leading zero.
bool valid_identifiers(std::string_view text, bool numbers_checked) {
  while (true) {
    const std::size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    const bool allowed = std::all_of(part.begin(), part.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    });
    if (part.empty() || !allowed) return false;
    if (numbers_checked && all_digits(part) && !valid_number(part)) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::optional<Version> parse(std::string_view text) {
  if (!text.empty() && (text[0] == 'v' || text[0] == 'V')) text.remove_prefix(1);
  Version version;
  if (const std::size_t plus = text.find('+'); plus != std::string_view::npos) {
    if (!valid_identifiers(text.substr(plus + 1), false)) return std::nullopt;
    text = text.substr(0, plus);
  }
  bool has_prerelease = false;
  if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
    version.prerelease = text.substr(dash + 1);
    if (!valid_identifiers(version.prerelease, true)) return std::nullopt;
    text = text.substr(0, dash);
    has_prerelease = true;
  }
  std::size_t count = 0;
  while (true) {
    const std::size_t dot = text.find('.');
    if (count == 3 || !valid_number(text.substr(0, dot))) return std::nullopt;
    version.core[count++] = text.substr(0, dot);
    if (dot == std::string_view::npos) break;
    text.remove_prefix(dot + 1);
  }
  if (has_prerelease && count < 3) return std::nullopt;
  return version;
}

int sign(bool less, bool greater) {
  return less ? -1 : greater ? 1 : 0;
}

// Numbers of any length: the longer one is greater.
int compare_numbers(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return sign(a.size() < b.size(), true);
  return sign(a<b, a> b);
}

int compare_identifiers(std::string_view a, std::string_view b) {
  const bool a_number = all_digits(a);
  const bool b_number = all_digits(b);
  if (a_number && b_number) return compare_numbers(a, b);
  if (a_number != b_number) return a_number ? -1 : 1;
  return sign(a<b, a> b);
}

int compare_prereleases(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return sign(b.empty() && !a.empty(), a.empty() && !b.empty());
  while (true) {
    const std::size_t a_dot = a.find('.');
    const std::size_t b_dot = b.find('.');
    if (int order = compare_identifiers(a.substr(0, a_dot), b.substr(0, b_dot)); order != 0) return order;
    const bool a_ends = a_dot == std::string_view::npos;
    const bool b_ends = b_dot == std::string_view::npos;
    if (a_ends || b_ends) return sign(a_ends && !b_ends, b_ends && !a_ends);
    a.remove_prefix(a_dot + 1);
    b.remove_prefix(b_dot + 1);
  }
}

int compare(const Version& a, const Version& b) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (int order = compare_numbers(a.core[i], b.core[i]); order != 0) return order;
  }
  return compare_prereleases(a.prerelease, b.prerelease);
}

Value decide(std::string_view relation, const Version& a, const Version& b) {
  const int order = compare(a, b);
  if (relation == "=") return Value::boolean(order == 0);
  if (relation == "!=") return Value::boolean(order != 0);
  if (relation == "<") return Value::boolean(order < 0);
  if (relation == "<=") return Value::boolean(order <= 0);
  if (relation == ">") return Value::boolean(order > 0);
  if (relation == ">=") return Value::boolean(order >= 0);
  const bool same_major = a.core[0] == b.core[0];
  if (relation == "^") return Value::boolean(same_major);
  if (relation == "~") return Value::boolean(same_major && a.core[1] == b.core[1]);
  return {};
}

std::optional<Version> version_of(const Value& value, Evaluation& evaluation) {
  if (!value.is_string() && !value.is_number()) return std::nullopt;
  const std::string_view text = plain_text(value, evaluation);
  if (!evaluation.charge(text.size() / kBytesReadAStep)) return std::nullopt;
  return parse(text);
}

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.size() != 3) return {};
  const Value relation = operand(call, 1, evaluation);
  const auto a = version_of(operand(call, 0, evaluation), evaluation);
  const auto b = version_of(operand(call, 2, evaluation), evaluation);
  if (!a || !b || !relation.is_string()) return {};
  return decide(relation.as_string(), *a, *b);
}

}  // namespace

const Operator& sem_ver() {
  static constexpr Operator op{.name = "sem_ver",
                               .summary = "compares versions: = != < <= > >= ^ (same major) ~ (same minor)",
                               .example = R"({"sem_ver": [{"var": "version"}, ">=", "1.4.0"]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
