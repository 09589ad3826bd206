// What can be said about a rule without evaluating it: variants that do not exist, and constructs on
// which flagd's evaluators in different languages give different answers.
#include <fmt/format.h>

#include <algorithm>

#include "flag/compiler.h"

namespace poundlock::flag {

namespace {

class Inspector {
 public:
  Inspector(const CompiledFlag& flag, std::vector<Error>& problems, std::vector<std::string>& warnings)
      : flag_(flag), problems_(problems), warnings_(warnings) {}

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

  void portability(const Node& node) {
    if (node.kind == Node::Kind::kCall) call(node);
    for (const Node& arg : node.args) portability(arg);
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
    const bool compares = name == "<" || name == "<=" || name == ">" || name == ">=";
    if (compares && (node.args.size() < 2 || node.args.size() > 3)) {
      warn(name, "is compared with fewer than two or more than three operands");
    }
    const bool hashes = name == "fractional" || name == "cat";
    for (const Node& arg : node.args) {
      if (arg.kind != Node::Kind::kLiteral) continue;
      if ((name == "==" || name == "!=") && arg.literal.is_null()) warn(name, "compares with null");
      if (hashes && arg.literal.is_string() && !ascii(arg.literal.as_string())) {
        warn(name, "uses text outside ASCII, which evaluators hash differently");
      }
    }
  }

  static bool ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 128; });
  }

  void warn(std::string_view name, std::string_view what) {
    warnings_.push_back(fmt::format("flag '{}': '{}' {}: the rule is not portable", flag_.key, name, what));
  }

  bool needs_time_ = false;
  const CompiledFlag& flag_;
  std::vector<Error>& problems_;
  std::vector<std::string>& warnings_;
};

}  // namespace

void inspect_rule(CompiledFlag& flag, std::vector<Error>& problems, std::vector<std::string>& warnings) {
  Inspector inspector(flag, problems, warnings);
  inspector.results(flag.rule);
  inspector.portability(flag.rule);
  flag.needs_time = inspector.needs_time();
}

}  // namespace poundlock::flag
