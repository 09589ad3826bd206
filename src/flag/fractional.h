// What both versions of `fractional` share: its shares, and how a hash picks one of them. Immutable values.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "flag/operator.h"

namespace poundlock::flag {

// Metadata of a flag, usually of its flag set: 2, which is also meant where it is absent, or 3.
inline constexpr std::string_view kFractionalSwitch = "poundlock.fractional";

// 2 or 3; an error (flag.metadata) where the switch says something else.
Result<int> fractional_version(const boost::json::object& metadata);

struct Bucket {
  Value variant;
  std::uint64_t weight = 1;
};

// False where the argument is no bucket: flagd answers null for the whole split then.
bool read_bucket(const Value& argument, Bucket& bucket);
std::uint64_t sum_of(std::span<const Bucket> buckets);
// The shares of a call whose first operand is `first`, from operand `skipped` on, in the evaluation's
// scratch. nullopt where one is none, or with an error where they do not fit.
std::optional<std::span<const Bucket>> read_buckets(const Node& call, const Value& first, std::size_t skipped,
                                                    Evaluation& evaluation);
// The bucket number that a hash falls into, 0 to sum - 1.
inline std::uint64_t slot_of(std::uint32_t hash, std::uint64_t sum) {
  return (static_cast<std::uint64_t>(hash) * sum) >> 32;
}
inline constexpr std::uint64_t kWeightSumMax = 2'147'483'647;
// Null where the sum is 0 or too large.
inline Value pick(std::uint32_t hash, std::span<const Bucket> buckets, std::uint64_t sum) {
  if (sum == 0 || sum > kWeightSumMax) return {};
  const std::uint64_t slot = slot_of(hash, sum);
  std::uint64_t total = 0;
  for (const Bucket& bucket : buckets) {
    total += bucket.weight;
    if (slot < total) return bucket.variant;
  }
  return {};
}

// flagKey followed by targetingKey, in scratch; empty where there is no targeting key to stay with.
std::string_view joined_keys(Evaluation& evaluation);
// The bytes that a split hashes for the value of its first operand; nullopt where it answers null at once.
std::optional<std::string_view> hash_input(int version, const Value& first, Evaluation& evaluation);

// Version 3 (flagd's decision record "fractional-non-string-rand-units"): the first operand, whatever it is,
// is hashed as CBOR; where it is a list, and so a bucket, the pair of flag key and targeting key is.
const Operator& fractional_v3();

}  // namespace poundlock::flag
