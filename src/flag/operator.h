// A targeting rule in compiled form, and the interface of its operators. One operator is one file in
// operators/; the build generates the table. Semantics: JsonLogic (jsonlogic.com) with flagd's own
// operators (flagd.dev/reference/specifications/custom-operations), and flagd's Go evaluator where
// implementations disagree. Compiled nodes are immutable and shared between threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "flag/attributes.h"
#include "flag/scratch.h"
#include "flag/value.h"

namespace poundlock::flag {

// OpenFeature's error codes.
enum class ErrorCode : std::uint8_t {
  kNone,
  kFlagNotFound,
  kTypeMismatch,
  kParseError,
  kGeneral,
  kTargetingKeyMissing,
  kInvalidContext,
};
const char* to_string(ErrorCode code);  // "FLAG_NOT_FOUND"; "" for kNone

struct Operator;

struct Node {
  enum class Kind : std::uint8_t { kLiteral, kList, kCall };
  Kind kind = Kind::kLiteral;
  Value literal;                         // kLiteral; what it refers to lives in the snapshot
  const Operator* op = nullptr;          // kCall
  std::vector<Node> args;                // kCall: its operands; kList: its items
  std::vector<std::string_view> path;    // `var` with a constant path: its parts
  bool attribute = false;                // `var` of one attribute without a default: read without a call
  bool item_or_list = false;             // `in` over {"merge": [x]}: x alone is args[1], nothing is built
  std::shared_ptr<const void> prepared;  // what prepare() made; its operator knows the type
};

// What one evaluation may do: a node that is evaluated, an item that is visited, eight items compared, or
// 64 bytes of text compared. About 20 ms: a server evaluates on the thread that serves everybody.
inline constexpr std::int64_t kStepsMax = 1'000'000;

// One evaluation in progress; lives on the stack of the caller.
struct Evaluation {
  const Attributes* attributes = nullptr;
  std::string_view flag_key;
  std::int64_t now_s = 0;  // $flagd.timestamp: Unix seconds, passed in
  Scratch* scratch = nullptr;
  const Value* scope = nullptr;        // the item that map, filter, all, ... look at; null outside them
  std::int64_t steps = kStepsMax;      // left; below zero whatever could take long fails
  ErrorCode error = ErrorCode::kNone;  // the first error; the rule's value does not count then
  const char* error_text = "";

  // Remembers the first error and answers null.
  Value fail(ErrorCode code, const char* text) {
    if (error == ErrorCode::kNone) {
      error = code;
      error_text = text;
    }
    return {};
  }
  bool failed() const { return error != ErrorCode::kNone; }
  // To be called when the rule has been evaluated. Whatever else went wrong may come from what was left out.
  bool ended_in_error() {
    if (scratch->exhausted()) {
      error = ErrorCode::kGeneral;
      error_text = "the rule and its context need too much memory";
    }
    return failed();
  }
  // Takes `count` steps ahead of work that grows with its operands; false, with an error, where they are
  // used up. Nodes are counted without this check: a rule has 20,000 at most, and each item checks.
  bool charge(std::size_t count) {
    if (count == 0) return true;
    steps -= static_cast<std::int64_t>(count);
    if (steps >= 0) return true;
    fail(ErrorCode::kGeneral, "the rule takes too many steps");
    return false;
  }
};

// Bytes, items or members that cost as much as one step.
inline constexpr std::size_t kBytesComparedAStep = 64;
inline constexpr std::size_t kBytesReadAStep = 16;  // one after the other
inline constexpr std::size_t kItemsAStep = 8;

struct Operator {
  std::string_view name;     // as a rule spells it: "starts_with"
  std::string_view summary;  // one line for the reference page
  std::string_view example;  // a rule in JSON that uses it
  Value (*evaluate)(const Node& call, Evaluation& evaluation);
  // Looks at a call once, when it is compiled; null where there is nothing to prepare.
  void (*prepare)(Node& call) = nullptr;
};

std::span<const Operator* const> all_operators();      // generated
const Operator* find_operator(std::string_view name);  // nullptr where unknown

Value evaluate_list(const Node& list, Evaluation& evaluation);
inline Value evaluate(const Node& node, Evaluation& evaluation) {
  --evaluation.steps;
  if (node.kind == Node::Kind::kLiteral) return node.literal;
  if (node.attribute && evaluation.scope == nullptr) {
    return evaluation.attributes->find(node.path[0], *evaluation.scratch);
  }
  if (node.kind == Node::Kind::kCall) return node.op->evaluate(node, evaluation);
  return evaluate_list(node, evaluation);
}
// The operand at `index`, evaluated; null where the call has fewer.
inline Value operand(const Node& call, std::size_t index, Evaluation& evaluation) {
  return index < call.args.size() ? evaluate(call.args[index], evaluation) : Value{};
}
// What `if` answers, and which of its branches gave it: 0 for the first, the number of conditions for the
// else, -1 where no condition is true and there is no else.
Value evaluate_if(const Node& call, Evaluation& evaluation, std::int16_t& branch);
// The steps of comparing the two; false where they are used up.
inline bool charge_comparison(const Value& a, const Value& b, Evaluation& evaluation) {
  const std::size_t left = a.is_string() ? a.as_string().size() : 0;
  const std::size_t right = b.is_string() ? b.as_string().size() : 0;
  const bool texts = a.is_string() && b.is_string();
  return evaluation.charge((texts ? std::min(left, right) : left + right) / kBytesComparedAStep);
}
// A value as arithmetic sees it: text that is no number counts 0; null, booleans and lists are errors.
double arithmetic_number(const Value& value, Evaluation& evaluation);
// The text of a string, number or null (""), joined values being errors; lies in scratch.
std::string_view plain_text(const Value& value, Evaluation& evaluation);
// A dotted path below `root` ("user.address.city", "xs.1"); null where it leads nowhere.
Value walk(Value root, std::span<const std::string_view> path, Evaluation& evaluation);
// What {"var": path} means where the path is known only now.
Value look_up(std::string_view path, Evaluation& evaluation);
// {"var": ...} with a path cut into its parts.
Value look_up(std::span<const std::string_view> path, Evaluation& evaluation);
// The list that map, filter, reduce, all, none and some go through: null becomes empty; text, numbers
// and objects are an error.
std::span<const Value> subject_list(const Node& call, Evaluation& evaluation);
// `body` evaluated with `item` as its data.
Value evaluate_in(const Node& body, const Value& item, Evaluation& evaluation);

}  // namespace poundlock::flag
