// A targeting rule and a context, on two lines: compiled, evaluated and explained. Nothing may crash, hang or
// eat memory, the same question has the same answer, and an answer is a variant of the flag or a reason.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "flag/explain.h"
#include "flag/snapshot.h"

namespace flag = poundlock::flag;
namespace json = poundlock::json;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void evaluate(const std::string& rule, const json::Object& context, const char* version) {
  const std::string document = std::string(R"({"metadata": {"poundlock.fractional": )") + version +
                               R"(}, "$evaluators": {"e": {"==": [{"var": "a"}, 1]}}, "flags": {"f": {
        "state": "ENABLED", "variants": {"true": 1, "false": 2, "a": 3, "1": 4}, "defaultVariant": "a",
        "targeting": )" + rule +
                               "}}}";
  flag::Limits limits;
  limits.bytes_max = 1 << 17;
  limits.rule_nodes_max = 2'000;
  const auto snapshot = flag::Snapshot::compile(document, "fuzz", limits);
  if (!snapshot) return;
  const flag::JsonAttributes attributes(context);
  const flag::Resolution first = (*snapshot)->evaluate("f", attributes, 1'000);
  const flag::Explanation second = flag::explain(**snapshot, "f", attributes, 1'000);
  require(first.reason == second.resolution.reason && first.variant == second.resolution.variant &&
          first.branch == second.resolution.branch);
  require((first.reason == flag::Reason::kError) == (first.error != flag::ErrorCode::kNone));
  require(second.lines.size() <= flag::kExplanationLinesMax);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  const std::string rule(text.substr(0, line));
  const std::string_view rest = line == std::string_view::npos ? std::string_view() : text.substr(line + 1);
  json::Limits limits;
  limits.bytes_max = 1 << 16;
  auto context = json::parse(rest, "context", limits);
  const json::Object object = context && context->is_object() ? context->get_object() : json::Object();
  evaluate(rule, object, "2");
  if (rule.find("fractional") != std::string::npos) evaluate(rule, object, "3");
  return 0;
}
