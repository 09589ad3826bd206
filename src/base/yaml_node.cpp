// Reading values out of a parsed YAML tree, with messages that say what to change.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <span>

#include "base/strings.h"
#include "base/suggest.h"
#include "base/yaml.h"

namespace poundlock::yaml {
namespace {

std::string found(const Node& node) {
  if (node.kind != Kind::kScalar) return to_string(node.kind);
  return node.quoted ? fmt::format("the text {}", quote_for_message(node.scalar))
                     : quote_for_message(node.scalar);
}

// A number is shown bare, as it stands in the file.
std::string found_number(const Node& node) {
  const bool number = !node.quoted && !node.scalar.empty() && node.scalar.size() <= 40 &&
                      node.scalar.find_first_not_of("+-.0123456789eE") == std::string::npos;
  return number ? node.scalar : found(node);
}

Error mismatch(const Node& node, const char* code, std::string_view what, std::string_view expected,
               const std::string& stands) {
  return node.error(code, fmt::format("{}: expected {}, found {}", what, expected, stands));
}

std::string int_range(std::int64_t min, std::int64_t max) {
  using Limit = std::numeric_limits<std::int64_t>;
  if (min == Limit::min() && max == Limit::max()) return "a whole number";
  if (max == Limit::max()) return fmt::format("a whole number from {} up", min);
  if (min == Limit::min()) return fmt::format("a whole number up to {}", max);
  return fmt::format("a whole number from {} to {}", min, max);
}

std::string double_range(double min, double max) {
  using Limit = std::numeric_limits<double>;
  const bool low = min > Limit::lowest();
  const bool high = max < Limit::max();
  if (low && high) return fmt::format("a number from {} to {}", min, max);
  if (low) return fmt::format("a number from {} up", min);
  if (high) return fmt::format("a number up to {}", max);
  return "a number";
}

// "010" is eight to YAML 1.1 and ten to YAML 1.2: nobody should have to guess.
bool has_leading_zero(std::string_view digits) {
  if (digits.starts_with('-')) digits.remove_prefix(1);
  return digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9';
}

}  // namespace

const char* to_string(Kind kind) {
  switch (kind) {
    case Kind::kNull: return "nothing";
    case Kind::kScalar: return "a value";
    case Kind::kSequence: return "a list";
    case Kind::kMapping: return "a mapping";
  }
  return "nothing";
}

const Node* Node::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name.scalar == key) return &value;
  }
  return nullptr;
}

Error Node::error(std::string code, std::string message) const {
  return user_error(std::move(code), std::move(message)).at(where);
}

Result<std::string> Node::as_string(std::string_view what) const {
  if (kind == Kind::kScalar) return scalar;
  return fail(mismatch(*this, "yaml.type", what, "text", found(*this)));
}

Result<std::int64_t> Node::as_int(std::string_view what, std::int64_t min, std::int64_t max) const {
  const auto refuse = [&](const char* code) {
    return fail(mismatch(*this, code, what, int_range(min, max), found_number(*this)));
  };
  if (kind != Kind::kScalar || quoted) return refuse("yaml.type");
  std::int64_t number = 0;
  const char* end = scalar.data() + scalar.size();
  const auto [stopped, code] = std::from_chars(scalar.data(), end, number);
  if (stopped != end || code == std::errc::invalid_argument) return refuse("yaml.type");
  if (has_leading_zero(scalar)) {
    Error error = mismatch(*this, "yaml.type", what, int_range(min, max), found(*this));
    return fail(std::move(error).with_hint("write it without the leading zero"));
  }
  if (code == std::errc::result_out_of_range || number < min || number > max) return refuse("yaml.range");
  return number;
}

Result<double> Node::as_double(std::string_view what, double min, double max) const {
  const auto refuse = [&](const char* code) {
    return fail(mismatch(*this, code, what, double_range(min, max), found_number(*this)));
  };
  if (kind != Kind::kScalar || quoted) return refuse("yaml.type");
  double number = 0;
  const char* end = scalar.data() + scalar.size();
  const auto [stopped, code] = std::from_chars(scalar.data(), end, number);
  if (stopped != end || code == std::errc::invalid_argument) return refuse("yaml.type");
  if (code == std::errc::result_out_of_range) return refuse("yaml.range");
  if (!std::isfinite(number)) return refuse("yaml.type");
  if (number < min || number > max) return refuse("yaml.range");
  return number;
}

Result<bool> Node::as_bool(std::string_view what) const {
  if (kind == Kind::kScalar && !quoted) {
    if (scalar == "true" || scalar == "True" || scalar == "TRUE") return true;
    if (scalar == "false" || scalar == "False" || scalar == "FALSE") return false;
  }
  return fail(mismatch(*this, "yaml.type", what, "true or false", found(*this)));
}

Result<Fields> Fields::of(const Node& mapping, std::string what) {
  if (mapping.kind != Kind::kMapping) {
    return fail(mismatch(mapping, "yaml.type", what, "a mapping", found(mapping)));
  }
  Fields fields;
  fields.mapping_ = &mapping;
  fields.what_ = std::move(what);
  return fields;
}

const Node* Fields::optional(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  return mapping_->find(key);
}

Result<const Node*> Fields::required(std::string_view key) {
  if (const Node* value = optional(key)) return value;
  // Misspelt it is an unknown key as well, and that is the place to look at.
  std::vector<std::string> others;
  for (const auto& entry : mapping_->entries) {
    if (std::find(known_.begin(), known_.end(), entry.first.scalar) == known_.end())
      others.push_back(entry.first.scalar);
  }
  if (const auto near = nearest(key, std::span<const std::string>(others)); !near.empty()) {
    const auto misspelt = std::find_if(mapping_->entries.begin(), mapping_->entries.end(),
                                       [&](const Entry& entry) { return entry.first.scalar == near; });
    return fail(misspelt->first.error(
        "yaml.missing_key",
        fmt::format("{} lacks the key '{}'; did you mean it by {}?", what_, key, quote_for_message(near))));
  }
  return fail(mapping_->error("yaml.missing_key", fmt::format("{} lacks the key '{}'", what_, key)));
}

Status Fields::finish() const {
  for (const auto& entry : mapping_->entries) {
    const Node& key = entry.first;
    if (std::find(known_.begin(), known_.end(), key.scalar) != known_.end()) continue;
    std::string message = fmt::format("unknown key {} in {}", quote_for_message(key.scalar), what_);
    const std::string_view near = nearest(key.scalar, std::span<const std::string>(known_));
    if (!near.empty()) {
      return fail(key.error("yaml.unknown_key", fmt::format("{}; did you mean '{}'?", message, near)));
    }
    Error error = key.error("yaml.unknown_key", std::move(message));
    if (known_.empty()) return fail(std::move(error));
    return fail(std::move(error).with_hint(fmt::format("known keys: {}", fmt::join(known_, ", "))));
  }
  return {};
}

}  // namespace poundlock::yaml
