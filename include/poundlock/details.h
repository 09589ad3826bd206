// What one evaluation answered, and why: OpenFeature's evaluation details (specification, section 1.4).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace poundlock {

enum class FlagType { kBool, kString, kInt64, kDouble, kObject };

using MetadataValue = std::variant<bool, std::int64_t, double, std::string>;
// The flag set's metadata, overlaid by the flag's own.
using FlagMetadata = std::vector<std::pair<std::string, MetadataValue>>;

struct Details {
  std::string variant;  // empty: the default given by the caller holds
  std::string reason;   // OpenFeature's: STATIC, TARGETING_MATCH, DEFAULT, DISABLED, ERROR; or OVERRIDE
  // Empty without error; else PROVIDER_NOT_READY (no snapshot yet), FLAG_NOT_FOUND, TYPE_MISMATCH,
  // PARSE_ERROR (the rule does not compile), TARGETING_KEY_MISSING, INVALID_CONTEXT, GENERAL.
  std::string error_code;
  std::string error_message;
  FlagMetadata flag_metadata;
};

// With the value that holds: the variant's, or the caller's default.
template <typename T>
struct ValueDetails : Details {
  T value{};
};
using BoolDetails = ValueDetails<bool>;
using StringDetails = ValueDetails<std::string>;  // of an object flag: its JSON text
using Int64Details = ValueDetails<std::int64_t>;
using DoubleDetails = ValueDetails<double>;

// A value of any type; an object is its JSON text, and only FlagType tells it from a string.
using FlagValue = std::variant<bool, std::string, std::int64_t, double>;

}  // namespace poundlock
