// Whom a flag is evaluated for.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace poundlock {

using AttributeValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>>;

// `targeting_key` is the owner of the rows that a unit of work touches (a customer, a tenant), never the
// request: a user must stay on the same side from one request to the next. Empty: the user is never let
// in by percentage. The attribute `context` (one name or a list) is what targeting rules match: "internal",
// "batch_processor". A plain value; as thread-safe as any.
struct Context {
  std::string targeting_key;
  std::vector<std::pair<std::string, AttributeValue>> attributes;
};

}  // namespace poundlock
