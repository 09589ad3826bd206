#include <fmt/format.h>

#include <algorithm>

#include "base/suggest.h"
#include "flag/compiler.h"
#include "flag/fractional.h"

namespace poundlock::flag {

namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

Error rule_error(std::string message) {
  return user_error("flag.targeting", std::move(message));
}

// What an evaluator holds; stops counting where it is certain to be refused.
struct Extent {
  std::size_t nodes = 0;
  bool reference = false;
  bool too_deep = false;
};

void measure(const value& json, std::size_t depth, std::size_t nodes_max, Extent& extent) {
  if (++extent.nodes > nodes_max || extent.reference) return;
  if (depth == 0) {
    extent.too_deep = true;
  } else if (json.is_array()) {
    for (const value& item : json.get_array()) measure(item, depth - 1, nodes_max, extent);
  } else if (json.is_object()) {
    for (const auto& entry : json.get_object()) {
      extent.reference = extent.reference || entry.key() == "$ref";
      measure(entry.value(), depth - 1, nodes_max, extent);
    }
  }
}

Error unknown_operator(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Operator* op : all_operators()) known.push_back(op->name);
  Error error = rule_error(fmt::format("unknown operator '{}'", name));
  if (const std::string_view near = nearest(name, known); !near.empty()) {
    error.message += fmt::format(", did you mean '{}'?", near);
  }
  return error;
}

}  // namespace

Status replace_references(value& rule, const object* evaluators, std::size_t depth_max,
                          std::size_t& nodes_left) {
  if (depth_max == 0) return fail(rule_error("the rule is nested too deeply"));
  if (rule.is_array()) {
    for (value& item : rule.get_array()) {
      PL_CHECK(replace_references(item, evaluators, depth_max - 1, nodes_left));
    }
    return {};
  }
  if (!rule.is_object()) return {};
  object& map = rule.get_object();
  const value* name = map.size() == 1 ? map.if_contains("$ref") : nullptr;
  if (name == nullptr) {
    for (auto& entry : map) {
      PL_CHECK(replace_references(entry.value(), evaluators, depth_max - 1, nodes_left));
    }
    return {};
  }
  if (!name->is_string()) return fail(rule_error("$ref must be the name of an evaluator"));
  const std::string_view text(name->get_string().data(), name->get_string().size());
  const value* evaluator = evaluators == nullptr ? nullptr : evaluators->if_contains(text);
  if (evaluator == nullptr) return fail(rule_error(fmt::format("$evaluators has no '{}'", text)));
  Extent extent;
  measure(*evaluator, depth_max, nodes_left, extent);
  if (extent.reference || extent.too_deep) {
    return fail(rule_error(fmt::format("the evaluator '{}' holds a $ref of its own or is too deep", text)));
  }
  if (extent.nodes > nodes_left) return fail(rule_error("the document's references bring in too much"));
  nodes_left -= extent.nodes;
  value copy = *evaluator;
  rule = std::move(copy);
  return {};
}

Result<Node> RuleCompiler::compile(const value& rule, std::size_t depth) {
  if (depth > limits_.rule_depth_max) return fail(rule_error("the rule is nested too deeply"));
  if (++nodes_ > limits_.rule_nodes_max) return fail(rule_error("the rule is too large"));
  if (rule.is_array()) return compile_list(rule.get_array(), depth);
  if (rule.is_object() && rule.get_object().size() == 1) return compile_call(rule.get_object(), depth);
  Node node;
  node.literal = literal(rule, depth);
  return node;
}

Result<Node> RuleCompiler::compile_list(const array& items, std::size_t depth) {
  Node node;
  node.kind = Node::Kind::kList;
  node.args.reserve(items.size());
  bool constant = true;
  for (const value& item : items) {
    PL_TRY(Node arg, compile(item, depth + 1));
    constant = constant && arg.kind == Node::Kind::kLiteral;
    node.args.push_back(std::move(arg));
  }
  if (!constant) return node;
  std::vector<Value>& list = storage_->lists.emplace_back();
  list.reserve(node.args.size());
  for (const Node& arg : node.args) list.push_back(arg.literal);
  Node folded;
  folded.literal = Value::array(list);
  return folded;
}

Result<Node> RuleCompiler::compile_call(const object& call, std::size_t depth) {
  const auto& entry = *call.begin();
  const Operator* op = find_operator(entry.key());
  if (op == nullptr) return fail(unknown_operator(entry.key()));
  if (fractional_version_ == 3 && op->name == "fractional") op = &fractional_v3();
  Node node;
  node.kind = Node::Kind::kCall;
  node.op = op;
  if (entry.value().is_array()) {
    node.args.reserve(entry.value().get_array().size());
    for (const value& operand : entry.value().get_array()) {
      PL_TRY(Node arg, compile(operand, depth + 1));
      node.args.push_back(std::move(arg));
    }
  } else {
    PL_TRY(Node arg, compile(entry.value(), depth + 1));
    node.args.push_back(std::move(arg));
  }
  if (op->prepare != nullptr) op->prepare(node);
  return node;
}

// An object with several keys is no call: it stays data, and as a rule's result it names no variant.
Value RuleCompiler::literal(const value& json, std::size_t depth) {
  if (json.is_bool()) return Value::boolean(json.get_bool());
  if (json.is_number()) return Value::number(json.to_number<double>());
  if (json.is_string()) return Value::text({json.get_string().data(), json.get_string().size()});
  if (depth > limits_.rule_depth_max) return {};
  if (json.is_array()) {
    std::vector<Value>& list = storage_->lists.emplace_back();
    list.reserve(json.get_array().size());
    for (const value& item : json.get_array()) list.push_back(literal(item, depth + 1));
    return Value::array(list);
  }
  if (json.is_object()) {
    std::vector<Member>& members = storage_->objects.emplace_back();
    for (const auto& entry : json.get_object()) {
      members.push_back({{entry.key().data(), entry.key().size()}, literal(entry.value(), depth + 1)});
    }
    return Value::object(members);
  }
  return {};
}

}  // namespace poundlock::flag
