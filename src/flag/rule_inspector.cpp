// What can be said about a rule without evaluating it: variants that do not exist, and whether it asks for
// the time.
#include <fmt/format.h>

#include "flag/compiler.h"

namespace poundlock::flag {

namespace {

class Inspector {
 public:
  Inspector(const CompiledFlag& flag, std::vector<Error>& problems) : flag_(flag), problems_(problems) {}

  // Follows only what can become the rule's result: the branches of `if`, the buckets of `fractional`.
  void results(const Node& node) {
    if (node.kind == Node::Kind::kLiteral) return named(node.literal);
    if (node.kind != Node::Kind::kCall) return;
    if (node.op->name == "if") {
      for (std::size_t i = 1; i < node.args.size(); i += 2) results(node.args[i]);
      if (node.args.size() % 2 == 1) results(node.args.back());
    } else if (node.op->name == "fractional") {
      for (const Node& arg : node.args) {
        if (arg.kind == Node::Kind::kList && !arg.args.empty()) results(arg.args[0]);
        if (arg.kind == Node::Kind::kLiteral && arg.literal.is_array() && !arg.literal.items().empty()) {
          named(arg.literal.items()[0]);
        }
      }
    }
  }

  void visit(const Node& node) {
    if (node.kind == Node::Kind::kCall) call(node);
    for (const Node& arg : node.args) visit(arg);
  }

  bool needs_time() const { return needs_time_; }

 private:
  void named(const Value& result) {
    if (!result.is_string() || flag_.find_variant(result.as_string()) != nullptr) return;
    problems_.push_back(
        user_error("flag.targeting", fmt::format("flag '{}': targeting names the variant '{}', "
                                                 "which does not exist",
                                                 flag_.key, result.as_string())));
  }

  void call(const Node& node) {
    const std::string_view name = node.op->name;
    if (name == "var" && (node.path.empty() || node.path[0] == "$flagd")) needs_time_ = true;
    if (name == "missing" || name == "missing_some") needs_time_ = true;
  }

  bool needs_time_ = false;
  const CompiledFlag& flag_;
  std::vector<Error>& problems_;
};

}  // namespace

void inspect_rule(CompiledFlag& flag, std::vector<Error>& problems) {
  Inspector inspector(flag, problems);
  inspector.results(flag.rule);
  inspector.visit(flag.rule);
  flag.needs_time = inspector.needs_time();
}

}  // namespace poundlock::flag
