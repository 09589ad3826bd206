#include "flag/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/murmur3.h"
#include "base/strings.h"
#include "flag/fractional.h"

namespace poundlock::flag {
namespace {

constexpr std::size_t kShownMax = 160;  // bytes of one rule or value
constexpr int kDepthMax = 40;

std::string cut(std::string text) {
  if (text.size() <= kShownMax) return text;
  std::size_t end = kShownMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

// A compiled rule as it was written, roughly: what is cut off anyway is not built.
void write(const Node& node, std::string& out, int depth) {
  if (out.size() > kShownMax || depth > kDepthMax) return;
  if (node.kind == Node::Kind::kLiteral) {
    out += json::dump(to_json(node.literal));
    return;
  }
  if (node.kind == Node::Kind::kCall) out += fmt::format("{{\"{}\": ", node.op->name);
  if (node.op != nullptr && node.args.size() == 1 && node.args[0].kind == Node::Kind::kLiteral &&
      !node.args[0].literal.is_array()) {
    out += json::dump(to_json(node.args[0].literal)) + "}";
    return;
  }
  out += '[';
  for (std::size_t i = 0; i < node.args.size(); ++i) {
    if (i > 0) out += ", ";
    const bool merged = node.item_or_list && i == 1;
    if (merged) out += "{\"merge\": [";
    write(node.args[i], out, depth + 1);
    if (merged) out += "]}";
  }
  out += ']';
  if (node.kind == Node::Kind::kCall) out += '}';
}

std::string text_of(const Node& node) {
  std::string out;
  write(node, out, 0);
  return cut(std::move(out));
}

struct Outcome {
  std::string text;
  bool truth = false;
};

class Explainer {
 public:
  Explainer(const CompiledFlag& flag, const Attributes& attributes, std::int64_t now_s,
            std::vector<std::string>& lines)
      : flag_(flag), attributes_(attributes), now_s_(now_s), lines_(lines) {}

  void line(int level, std::string_view text) {
    if (lines_.size() + 1 < kExplanationLinesMax) {
      lines_.push_back(std::string(static_cast<std::size_t>(level) * 2, ' ').append(text));
    } else if (lines_.size() + 1 == kExplanationLinesMax) {
      lines_.emplace_back("... (the rest is not shown)");
    }
  }

  // Says how the node comes to its value; what is constant needs no explanation.
  void trace(const Node& node, int level) {
    if (node.kind != Node::Kind::kCall || level > kDepthMax || lines_.size() >= kExplanationLinesMax) return;
    const std::string_view name = node.op->name;
    if (name == "if") return branches(node, level);
    if (name == "fractional") return split(node, level);
    if (name == "and" || name == "or") return logic(node, level, name == "and");
    // Inside these, var means an item, of which there are many.
    const bool visits_items = name == "map" || name == "filter" || name == "reduce" || name == "all" ||
                              name == "some" || name == "none";
    const std::size_t count = visits_items ? std::min<std::size_t>(1, node.args.size()) : node.args.size();
    for (std::size_t i = 0; i < count; ++i) trace(node.args[i], level);
    line(level, fmt::format("{} = {}", text_of(node), outcome(node).text));
  }

 private:
  Evaluation start(Scratch& scratch) const {
    Evaluation evaluation;
    evaluation.attributes = &attributes_;
    evaluation.flag_key = flag_.key;
    evaluation.now_s = now_s_;
    evaluation.scratch = &scratch;
    return evaluation;
  }

  Outcome outcome(const Node& node) const {
    Scratch scratch;
    Evaluation evaluation = start(scratch);
    const Value value = evaluate(node, evaluation);
    if (evaluation.ended_in_error()) return {fmt::format("error: {}", evaluation.error_text), false};
    return {cut(json::dump(to_json(value))), truthy(value)};
  }

  void branches(const Node& node, int level) {
    std::size_t i = 0;
    for (; i + 1 < node.args.size(); i += 2) {
      const Outcome condition = outcome(node.args[i]);
      line(level, fmt::format("condition {}: {}", i / 2 + 1, text_of(node.args[i])));
      trace(node.args[i], level + 1);
      if (condition.truth) {
        line(level, fmt::format("condition {} holds: its branch answers {}", i / 2 + 1,
                                outcome(node.args[i + 1]).text));
        return trace(node.args[i + 1], level + 1);
      }
      if (condition.text.starts_with("error: ")) return line(level, condition.text);
      line(level, fmt::format("condition {} does not hold: it is {}", i / 2 + 1, condition.text));
    }
    if (i >= node.args.size()) return line(level, "no condition holds, and there is no else: null");
    line(level, fmt::format("{} answers {}", i == 0 ? "the rule" : "no condition holds: else",
                            outcome(node.args[i]).text));
    trace(node.args[i], level + 1);
  }

  void logic(const Node& node, int level, bool is_and) {
    for (const Node& operand : node.args) {
      trace(operand, level + 1);
      const Outcome value = outcome(operand);
      if (value.truth == is_and) continue;
      line(level,
           fmt::format("'{}' is decided by {} = {}", is_and ? "and" : "or", text_of(operand), value.text));
      return;
    }
    line(level, fmt::format("'{}' = {}", is_and ? "and" : "or", outcome(node).text));
  }

  void split(const Node& node, int level) {
    const int version = node.op == &fractional_v3() ? 3 : 2;
    Scratch scratch;
    Evaluation evaluation = start(scratch);
    const Value first = operand(node, 0, evaluation);
    if (evaluation.ended_in_error())
      return line(level, fmt::format("fractional: error: {}", evaluation.error_text));
    const auto input = hash_input(version, first, evaluation);
    if (!input) {
      return line(level, "fractional: there is nothing to hash (no targetingKey that is text?): null");
    }
    const bool consumed = !first.is_array();
    std::vector<Bucket> buckets;
    for (std::size_t i = consumed ? 1 : 0; i < node.args.size(); ++i) {
      Bucket bucket;
      if (!read_bucket(evaluate(node.args[i], evaluation), bucket)) {
        return line(level,
                    fmt::format("fractional: {} is no share [NAME, WEIGHT]: null", text_of(node.args[i])));
      }
      buckets.push_back(bucket);
    }
    chosen(version, first, *input, buckets, level);
  }

  void chosen(int version, const Value& first, std::string_view input, const std::vector<Bucket>& buckets,
              int level) {
    const std::uint32_t hash = murmur3_x86_32(input);
    const std::uint64_t sum = sum_of(buckets);
    const std::string hashed = version == 2
                                   ? quote_for_message(input)
                                   : fmt::format("{} (as CBOR, {} bytes)",
                                                 first.is_array() ? std::string("flag key and targeting key")
                                                                  : cut(json::dump(to_json(first))),
                                                 input.size());
    line(level, fmt::format("fractional hashes {}: hash {}, sum of weights {}", hashed, hash, sum));
    if (sum == 0 || sum > kWeightSumMax) {
      return line(level, "fractional: the weights' sum must be 1 to 2147483647: null");
    }
    const std::uint64_t slot = slot_of(hash, sum);
    std::uint64_t total = 0;
    for (const Bucket& bucket : buckets) {
      const std::uint64_t begin = std::exchange(total, total + bucket.weight);
      if (slot >= total) continue;
      return line(level, fmt::format("bucket {} of {} lies in {} to {}: {}", slot, sum, begin, total - 1,
                                     json::dump(to_json(bucket.variant))));
    }
  }

  const CompiledFlag& flag_;
  const Attributes& attributes_;
  std::int64_t now_s_;
  std::vector<std::string>& lines_;
};

std::string conclusion(const Resolution& resolution) {
  std::string text = resolution.variant == nullptr
                         ? std::string("no variant: the caller's default holds")
                         : fmt::format("variant {}", quote_for_message(resolution.variant->name));
  text += fmt::format(", reason {}", to_string(resolution.reason));
  if (resolution.error != ErrorCode::kNone) {
    text += fmt::format(", {}: {}", to_string(resolution.error), resolution.error_text);
  }
  return text;
}

}  // namespace

std::string branch_condition(const CompiledFlag& flag, int branch) {
  if (branch < 0 || branch >= flag.branches) return "";
  const auto at = static_cast<std::size_t>(branch) * 2;
  return at + 1 < flag.rule.args.size() ? text_of(flag.rule.args[at]) : "else";
}

Explanation explain(const Snapshot& snapshot, std::string_view key, const Attributes& attributes,
                    std::int64_t now_s) {
  Explanation result;
  result.resolution = snapshot.evaluate(key, attributes, now_s);
  const CompiledFlag* flag = result.resolution.flag;
  if (flag != nullptr && !flag->enabled) {
    result.lines.emplace_back("the flag is DISABLED");
  } else if (flag != nullptr && !flag->has_rule) {
    result.lines.emplace_back("the flag has no targeting: everybody has its default variant");
  } else if (flag != nullptr && flag->rule_error.empty()) {
    Explainer explainer(*flag, attributes, now_s, result.lines);
    if (flag->rule.kind != Node::Kind::kCall) explainer.line(0, "the rule is " + text_of(flag->rule));
    explainer.trace(flag->rule, 0);
  }
  if (result.lines.size() == kExplanationLinesMax) result.lines.pop_back();
  result.lines.push_back(conclusion(result.resolution));
  return result;
}

}  // namespace poundlock::flag
