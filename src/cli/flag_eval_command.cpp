// flag eval: what a context gets, from the server or from files without one, and why.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/suggest.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/flag_files.h"
#include "cli/near_name.h"
#include "cli/text.h"
#include "flag/explain.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;

// NAME=VALUE, where what reads as JSON (a number, true, a list) is that and everything else text; or a whole
// object.
Result<bj::object> attributes_of(const FlagEvalArguments& arguments) {
  bj::object out;
  for (const auto& one : arguments.attributes) {
    if (one.find_first_not_of(" \t\r\n") != std::string::npos &&
        one[one.find_first_not_of(" \t\r\n")] == '{') {
      PL_TRY(auto object, json::parse(one, "--context"));
      for (auto& entry : object.as_object()) out[entry.key()] = std::move(entry.value());
      continue;
    }
    const auto equals = one.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(user_error("flag.context", fmt::format("{} is no NAME=VALUE", clean(one)))
                      .with_hint(R"(--context context=internal, or a JSON object: --context '{"n": 1}')"));
    const std::string text = one.substr(equals + 1);
    const auto value = json::parse(text, one.substr(0, equals));
    // Not the text of it: a rule would answer as for another context than the one that was meant.
    if (!value && value.error().code == "json.depth") return fail(value.error());
    out[one.substr(0, equals)] = value ? *value : bj::value(text);
  }
  if (!arguments.targeting_key.empty()) out["targetingKey"] = arguments.targeting_key;
  return out;
}

// What OFREP answers, whoever answered.
struct Answer {
  bj::object body;
  std::vector<std::string> why;
};

bj::value at_or_null(const bj::object& body, std::string_view key) {
  const auto* found = body.if_contains(key);
  return found ? *found : bj::value();
}

Result<Answer> ask_server(const Context& context, const FlagEvalArguments& arguments, bj::object attributes) {
  PL_TRY(auto api, Api::open(context));
  PL_TRY(const auto answer, api.ask("/ofrep/v1/evaluate/flags/" + percent_encode(arguments.key),
                                    {{"context", std::move(attributes)}}));
  auto value = json::parse(answer.body, "the server's answer");
  const bool ofrep = value && value->is_object();
  if (!ofrep || (!value->as_object().contains("errorCode") && answer.status != 200)) {
    PL_TRY([[maybe_unused]] const auto ours, read_answer(answer, api.url()));
    return fail(internal_error("the server's evaluation cannot be read"));
  }
  return Answer{std::move(value->as_object()), {}};
}

Result<std::shared_ptr<const flag::Snapshot>> snapshot_of(const Context& context,
                                                          const FlagEvalArguments& arguments) {
  if (!arguments.files.empty()) return load_flags(context, arguments.files);
  PL_TRY(auto api, Api::open(context));
  PL_TRY(const auto answer, api.get("/v1/flags"));
  json::Object flags;
  for (const auto& one : list_at(answer, "flags"))
    flags[text_at(element(one), "key")] = object_at(element(one), "definition");
  return flag::Snapshot::compile(json::dump(json::Object{{"flags", std::move(flags)}}), "the server's flags");
}

Result<Answer> evaluate_here(const Context& context, const FlagEvalArguments& arguments,
                             const bj::object& attributes) {
  PL_TRY(const auto snapshot, snapshot_of(context, arguments));
  const auto now_s = context.clock.now().ms / 1000;
  const flag::JsonAttributes view(attributes);
  Answer out;
  flag::Resolution answer;
  if (arguments.explain) {
    auto explanation = flag::explain(*snapshot, arguments.key, view, now_s);
    answer = explanation.resolution;
    out.why = std::move(explanation.lines);
  } else {
    answer = snapshot->evaluate(arguments.key, view, now_s);
  }
  out.body["reason"] = flag::to_string(answer.reason);
  if (answer.variant) {
    out.body["value"] = answer.variant->json;
    out.body["variant"] = answer.variant->name;
  }
  if (answer.reason == flag::Reason::kError) {
    out.body["errorCode"] = flag::to_string(answer.error);
    out.body["errorDetails"] = answer.error_text;
  }
  if (answer.flag) out.body["metadata"] = answer.flag->metadata;
  return out;
}

void print(Context& context, const FlagEvalArguments& arguments, const Answer& answer) {
  const auto& body = answer.body;
  if (context.json) {
    const bool failed = body.contains("errorCode");
    bj::object out{{"key", arguments.key},
                   {"value", at_or_null(body, "value")},
                   {"variant", at_or_null(body, "variant")},
                   {"reason", failed ? bj::value("ERROR") : at_or_null(body, "reason")},
                   {"errorCode", at_or_null(body, "errorCode")},
                   {"metadata", object_at(body, "metadata")}};
    if (arguments.explain) {
      bj::array why;
      for (const auto& line : answer.why) why.push_back(bj::value(line));
      out["explanation"] = std::move(why);
    }
    return print_json(context, out);
  }
  if (!body.contains("errorCode")) {
    const auto* result = body.if_contains("value");
    const std::string variant = text_at(body, "variant");
    say(context,
        fmt::format("{}  ({}{})", result ? clean(json::dump(*result)) : "no value: the code's default counts",
                    variant.empty() ? "" : fmt::format("variant {}, ", clean(variant)),
                    clean(text_at(body, "reason"))));
  }
  for (const auto& line : answer.why) say(context, "  " + clean(line));
}

// With what was perhaps meant.
Error not_found(const Context& context, const FlagEvalArguments& arguments, Error error) {
  if (arguments.files.empty()) {
    error.hint = "`poundlock flag list` shows the flags";
    auto api = Api::open(context);
    return api ? with_near_flag(*api, std::move(error), arguments.key) : error;
  }
  error.hint = "is it in these files?";
  const auto snapshot = load_flags(context, arguments.files);
  if (!snapshot) return error;
  std::vector<std::string> known;
  for (const flag::CompiledFlag* one : (*snapshot)->flags()) known.emplace_back(one->key);
  const auto near = nearest(arguments.key, std::span<const std::string>(known));
  if (!near.empty()) error.hint = fmt::format("did you mean {}?", clean(near));
  return error;
}

}  // namespace

int flag_eval_command(Context& context, const FlagEvalArguments& arguments) {
  auto attributes = attributes_of(arguments);
  if (!attributes) return report(context, attributes.error());
  // The explanation is made here, of the same definition: the protocol has no place for it.
  const bool here = arguments.explain || !arguments.files.empty();
  const auto answer = here ? evaluate_here(context, arguments, *attributes)
                           : ask_server(context, arguments, std::move(*attributes));
  if (!answer) return report(context, answer.error());
  print(context, arguments, *answer);
  const std::string code = text_at(answer->body, "errorCode");
  if (code.empty()) return 0;
  std::string text = text_at(answer->body, "errorDetails");
  if (text.empty()) text = fmt::format("{} for flag {}", code, arguments.key);
  Error error = user_error("flag." + code, std::move(text));
  if (code == "FLAG_NOT_FOUND") error = not_found(context, arguments, std::move(error));
  // The answer is on standard output already; with JSON nothing may stand beside it there.
  const bool json = std::exchange(context.json, false);
  const int exit = report(context, error);
  context.json = json;
  return exit;
}

}  // namespace poundlock::cli
