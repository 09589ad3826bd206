#include "rollout/spec_parts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "base/strings.h"

namespace poundlock::rollout::parts {
namespace {

constexpr std::size_t kNameMax = 48;

// "Orders-Status v2" -> "orders_status_v2": what the writer probably wants.
std::string plain_form(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (out.size() == kNameMax) break;
    if (c >= 'A' && c <= 'Z') {
      out += static_cast<char>(c - 'A' + 'a');
    } else if ((c >= 'a' && c <= 'z') || (!out.empty() && c >= '0' && c <= '9')) {
      out += c;
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  return out;
}

bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > kNameMax || name[0] < 'a' || name[0] > 'z') return false;
  for (const char c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return true;
}

}  // namespace

Result<yaml::Fields> mapping(const yaml::Node& node, std::string what,
                             std::initializer_list<std::string_view> keys) {
  PL_TRY(yaml::Fields fields, yaml::Fields::of(node, std::move(what)));
  for (const std::string_view key : keys) fields.optional(key);
  PL_CHECK(fields.finish());
  return fields;
}

Status check_list(const yaml::Node& node, std::string_view what, std::size_t min, std::size_t max,
                  std::string_view example) {
  if (node.kind != yaml::Kind::kSequence) {
    return fail(node.error("yaml.type",
                           fmt::format("{}: expected a list, found {}", what, yaml::to_string(node.kind)))
                    .with_hint(fmt::format("each item begins with '- ': {}", example)));
  }
  if (node.items.size() < min) {
    return fail(node.error("spec.empty", fmt::format("{}: the list has no item", what))
                    .with_hint(fmt::format("write for example {}", example)));
  }
  if (node.items.size() > max) {
    return fail(node.items[max].error(
        "spec.too_many", fmt::format("{}: {} items, at most {} are allowed", what, node.items.size(), max)));
  }
  return {};
}

Result<Millis> duration(const yaml::Node& node, std::string_view what, Millis min, Millis max) {
  PL_TRY(const std::string written, node.as_string(what));
  auto value = parse_duration(written);
  if (!value) {
    return fail(
        node.error("spec.duration", fmt::format("{}: {} is no duration", what, quote_for_message(written)))
            .with_hint(value.error().hint));
  }
  if (*value < min || *value > max) {
    return fail(node.error("spec.range", fmt::format("{}: expected {} to {}, found {}", what,
                                                     format_duration(min), format_duration(max), written)));
  }
  return *value;
}

Result<double> percentage(const yaml::Node& node, std::string_view what, double min) {
  // "25%" is what people write first: say what is wanted instead of "not a number".
  if (node.kind == yaml::Kind::kScalar && node.scalar.ends_with('%')) {
    return fail(node.error("yaml.type", fmt::format("{}: expected a number from {} to 100, found {}", what,
                                                    min, quote_for_message(node.scalar)))
                    .with_hint("write the number without the sign"));
  }
  PL_TRY(const double value, node.as_double(what, min, 100));
  const double hundredths = value * 100;
  if (std::abs(hundredths - std::round(hundredths)) > 1e-6) {
    return fail(node.error("spec.range", fmt::format("{}: {} is finer than 0.01 %", what, value))
                    .with_hint("percentages have at most two decimals"));
  }
  return std::round(hundredths) / 100;
}

Result<std::string> text(const yaml::Node& node, std::string_view what, std::size_t max) {
  PL_TRY(std::string value, node.as_string(what));
  if (value.find_first_not_of(" \t\r\n") == std::string::npos) {
    return fail(node.error("spec.empty", fmt::format("{}: expected text, found nothing", what)));
  }
  if (value.size() > max) {
    return fail(node.error("spec.range",
                           fmt::format("{}: {} bytes, at most {} are allowed", what, value.size(), max)));
  }
  return value;
}

Result<std::string> plain_name(const yaml::Node& node, std::string_view what) {
  PL_TRY(std::string name, node.as_string(what));
  if (is_plain_name(name)) return name;
  Error error = node.error("spec.name", fmt::format("{}: {} is no valid name; expected a small letter, then "
                                                    "up to {} of a-z, 0-9 and _",
                                                    what, quote_for_message(name), kNameMax - 1));
  if (const std::string better = plain_form(name); !better.empty()) {
    return fail(std::move(error).with_hint(fmt::format("write {}", better)));
  }
  return fail(std::move(error));
}

std::string words(const std::vector<std::string>& list) {
  if (list.size() < 2) return fmt::format("{}", fmt::join(list, ""));
  return fmt::format("{} and {}", fmt::join(list.begin(), list.end() - 1, ", "), list.back());
}

}  // namespace poundlock::rollout::parts
