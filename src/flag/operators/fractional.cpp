// Splits users into shares by a hash, so that the same user always falls into the same one (flagd's
// custom operation `fractional`, version 2). bucket = (murmur3(input) * sum of weights) >> 32; the first
// bucket whose running total exceeds it wins. A first bucket that grows keeps everyone it had.
#include "flag/fractional.h"

#include <optional>

#include "base/murmur3.h"

namespace poundlock::flag {

namespace {

Value pick(std::string_view input, std::span<const Bucket> buckets, std::uint64_t sum) {
  return pick(murmur3_x86_32(input), buckets, sum);
}

// The ordinary split: an input that is computed, then buckets that are constants.
struct Constant {
  std::vector<Bucket> buckets;
  std::uint64_t sum = 0;
  // The most ordinary input, {"cat": [TEXT, {"var": "targetingKey"}]}: TEXT is hashed here, once.
  std::optional<Murmur3Prefix> keyed;
};

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// `cat` cuts blanks at both ends, so that the text in front must not begin with one.
std::optional<Murmur3Prefix> keyed_prefix(const Node& input) {
  if (input.op->name != "cat" || input.args.size() != 2) return std::nullopt;
  const Node& text = input.args[0];
  const Node& key = input.args[1];
  if (text.kind != Node::Kind::kLiteral || !text.literal.is_string()) return std::nullopt;
  const std::string_view prefix = text.literal.as_string();
  if (prefix.empty() || is_blank(prefix.front())) return std::nullopt;
  if (key.kind != Node::Kind::kCall || key.op->name != "var" || key.args.size() != 1 ||
      key.path != std::vector<std::string_view>{"targetingKey"}) {
    return std::nullopt;
  }
  return Murmur3Prefix(prefix);
}

void prepare(Node& call) {
  if (call.args.size() < 2 || call.args[0].kind != Node::Kind::kCall) return;
  auto constant = std::make_shared<Constant>();
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    Bucket bucket;
    if (call.args[i].kind != Node::Kind::kLiteral || !read_bucket(call.args[i].literal, bucket)) return;
    constant->buckets.push_back(bucket);
  }
  constant->sum = sum_of(constant->buckets);
  constant->keyed = keyed_prefix(call.args[0]);
  call.prepared = std::move(constant);
}

Value split(const Value& first, std::span<const Bucket> buckets, std::uint64_t sum, Evaluation& evaluation) {
  if (first.is_string()) {
    if (!evaluation.charge(first.as_string().size() / kBytesComparedAStep)) return {};
    return pick(first.as_string(), buckets, sum);
  }
  const std::string_view input = joined_keys(evaluation);
  return input.empty() ? Value{} : pick(input, buckets, sum);
}

Value run_computed(const Node& call, const Value& first, Evaluation& evaluation) {
  // A first operand that is null is an input that the context lacks: the targeting key stands in.
  const std::size_t skipped = first.is_string() || first.is_null() ? 1 : 0;
  const auto buckets = read_buckets(call, first, skipped, evaluation);
  if (!buckets) return {};
  return split(first, *buckets, sum_of(*buckets), evaluation);
}

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.empty()) return {};
  const auto* constant = static_cast<const Constant*>(call.prepared.get());
  if (constant != nullptr && constant->keyed && evaluation.scope == nullptr) {
    const Value key = evaluation.attributes->find("targetingKey", *evaluation.scratch);
    if (key.is_string() && !key.as_string().empty() && !is_blank(key.as_string().back()))
      return pick(constant->keyed->hash_with(key.as_string()), constant->buckets, constant->sum);
  }
  const Value first = evaluate(call.args[0], evaluation);
  if (constant == nullptr || !(first.is_string() || first.is_null())) {
    return run_computed(call, first, evaluation);
  }
  return split(first, constant->buckets, constant->sum, evaluation);
}

}  // namespace

const Operator& fractional() {
  static constexpr Operator op{
      .name = "fractional",
      .summary = "a share of users by a hash of a text, or of the flag key and the targeting key",
      .example = R"({"fractional": [{"cat": ["a", {"var": "targetingKey"}]}, ["on", 25], ["off", 75]]})",
      .evaluate = run,
      .prepare = prepare};
  return op;
}

}  // namespace poundlock::flag
