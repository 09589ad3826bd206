#include "base/yaml_values.h"

#include <fmt/format.h>

#include <cmath>

#include "base/strings.h"

namespace poundlock::yaml {

Result<Fields> mapping(const Node& node, std::string what, std::initializer_list<std::string_view> keys) {
  PL_TRY(Fields fields, Fields::of(node, std::move(what)));
  for (const std::string_view key : keys) fields.optional(key);
  PL_CHECK(fields.finish());
  return fields;
}

Status check_list(const Node& node, std::string_view what, std::size_t min, std::size_t max,
                  std::string_view example) {
  if (node.kind != Kind::kSequence) {
    return fail(
        node.error("yaml.type", fmt::format("{}: expected a list, found {}", what, to_string(node.kind)))
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

Result<Millis> duration(const Node& node, std::string_view what, Millis min, Millis max) {
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

Result<double> percentage(const Node& node, std::string_view what, double min) {
  // "25%" is what people write first: say what is wanted instead of "not a number".
  if (node.kind == Kind::kScalar && node.scalar.ends_with('%')) {
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

Result<std::string> text(const Node& node, std::string_view what, std::size_t max) {
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

}  // namespace poundlock::yaml
