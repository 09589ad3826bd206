#include "flag/operator.h"

namespace poundlock::flag {

namespace {

// Cuts a constant path once, so that an evaluation only compares names.
void prepare(Node& call) {
  if (call.args.empty() || call.args[0].kind != Node::Kind::kLiteral) return;
  if (!call.args[0].literal.is_string()) return;
  std::string_view path = call.args[0].literal.as_string();
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    if (dot != 0) call.path.push_back(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  }
  call.attribute = call.path.size() == 1 && call.args.size() == 1 && call.path[0] != "$flagd";
}

Value found_or_default(const Value& found, const Node& call, Evaluation& evaluation) {
  return found.is_null() && call.args.size() > 1 ? operand(call, 1, evaluation) : found;
}

Value run(const Node& call, Evaluation& evaluation) {
  if (!call.path.empty()) return found_or_default(look_up(call.path, evaluation), call, evaluation);
  const Value path = operand(call, 0, evaluation);
  if (path.is_null()) return look_up(std::span<const std::string_view>(), evaluation);
  if (!path.is_string() && !path.is_number()) return {};
  return found_or_default(look_up(plain_text(path, evaluation), evaluation), call, evaluation);
}

}  // namespace

const Operator& var() {
  static constexpr Operator op{
      .name = "var",
      .summary = "an attribute of the context by its dotted path, with an optional default",
      .example = R"({"var": ["user.country", "none"]})",
      .evaluate = run,
      .prepare = prepare};
  return op;
}

}  // namespace poundlock::flag
