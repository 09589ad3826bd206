#include "flag/fractional.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "base/json.h"
#include "base/murmur3.h"
#include "flag/cbor.h"

namespace poundlock::flag {

namespace {

Value run_v3(const Node& call, Evaluation& evaluation) {
  if (call.args.empty()) return {};
  const Value first = evaluate(call.args[0], evaluation);
  const auto input = hash_input(3, first, evaluation);
  if (!input) return {};
  const std::size_t skipped = first.is_array() ? 0 : 1;
  const auto buckets = read_buckets(call, first, skipped, evaluation);
  if (!buckets) return {};
  return pick(murmur3_x86_32(*input), *buckets, sum_of(*buckets));
}

}  // namespace

std::optional<std::span<const Bucket>> read_buckets(const Node& call, const Value& first, std::size_t skipped,
                                                    Evaluation& evaluation) {
  const std::size_t count = call.args.size() - skipped;
  std::span<Bucket> buckets = evaluation.scratch->make<Bucket>(count);
  if (buckets.size() != count) {
    evaluation.fail(ErrorCode::kGeneral, "the rule needs too much memory");
    return std::nullopt;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = i + skipped;
    if (!read_bucket(at == 0 ? first : evaluate(call.args[at], evaluation), buckets[i])) return std::nullopt;
  }
  return buckets;
}

Result<int> fractional_version(const boost::json::object& metadata) {
  const json::Value* version = metadata.if_contains(kFractionalSwitch);
  if (version == nullptr) return 2;
  if (version->is_number() && version->to_number<double>() == 2) return 2;
  if (version->is_number() && version->to_number<double>() == 3) return 3;
  return fail(user_error("flag.metadata", fmt::format("metadata '{}': expected 2 or 3, found {}",
                                                      kFractionalSwitch, json::dump(*version))));
}

std::string_view joined_keys(Evaluation& evaluation) {
  const Value key = evaluation.attributes->find("targetingKey", *evaluation.scratch);
  if (!key.is_string() || key.as_string().empty()) return {};
  const std::size_t size = evaluation.flag_key.size() + key.as_string().size();
  char* text = static_cast<char*>(evaluation.scratch->allocate(size));
  if (text == nullptr) return {};
  std::memcpy(text, evaluation.flag_key.data(), evaluation.flag_key.size());
  std::memcpy(text + evaluation.flag_key.size(), key.as_string().data(), key.as_string().size());
  return {text, size};
}

std::optional<std::string_view> hash_input(int version, const Value& first, Evaluation& evaluation) {
  const auto unless_empty = [](std::string_view bytes) {
    return bytes.empty() ? std::nullopt : std::optional(bytes);
  };
  if (version == 2) {
    if (first.is_string()) return first.as_string();
    if (first.is_null() || first.is_array()) return unless_empty(joined_keys(evaluation));
    return std::nullopt;  // it is taken for a bucket, and is none
  }
  if (first.is_null()) return std::nullopt;
  if (!first.is_array()) return unless_empty(cbor(first, *evaluation.scratch));
  const Value key = evaluation.attributes->find("targetingKey", *evaluation.scratch);
  if (!key.is_string() || key.as_string().empty()) return std::nullopt;
  const Value pair[] = {Value::text(evaluation.flag_key), key};
  return unless_empty(cbor(Value::array(pair), *evaluation.scratch));
}

bool read_bucket(const Value& argument, Bucket& bucket) {
  if (!argument.is_array() || argument.items().empty()) return false;
  const std::span<const Value> parts = argument.items();
  bucket.variant = parts[0];
  if (!bucket.variant.is_string() && !bucket.variant.is_null() && !bucket.variant.is_bool() &&
      !bucket.variant.is_number()) {
    return false;
  }
  if (parts.size() < 2 || parts[1].is_null()) return true;
  if (!parts[1].is_number()) return false;
  const double weight = parts[1].as_number();
  if (!(std::trunc(weight) == weight)) return false;
  bucket.weight = weight <= 0 ? 0 : static_cast<std::uint64_t>(std::fmin(weight, 1e12));
  return true;
}

std::uint64_t sum_of(std::span<const Bucket> buckets) {
  std::uint64_t sum = 0;
  for (const Bucket& bucket : buckets) sum += bucket.weight;
  return sum;
}

const Operator& fractional_v3() {
  static constexpr Operator op{.name = "fractional", .summary = "", .example = "", .evaluate = run_v3};
  return op;
}

}  // namespace poundlock::flag
