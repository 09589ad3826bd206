// flag list, get, set, eval: plain flags and those of rollouts, on the server.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/table.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;

std::string path_of(const std::string& key) {
  return "/v1/flags/" + percent_encode(key);
}

std::string brief(const bj::value& value) {
  return clean(json::dump(value));
}

Result<bj::object> definition_of(const Context& context, const std::string& given) {
  std::string text = given;
  if (given.starts_with("@")) {
    PL_TRY(text, read_file(context, given.substr(1)));
  }
  PL_TRY(auto value, json::parse(text, given.starts_with("@") ? given.substr(1) : "--definition"));
  if (!value.is_object())
    return fail(user_error("flag.definition",
                           fmt::format("a flag's definition is an object, not {}", json::kind_of(value)))
                    .with_hint(R"(as in flagd: {"state": "ENABLED", "variants": {"on": true, "off": false}, )"
                               R"("defaultVariant": "off"})"));
  return std::move(value.as_object());
}

// NAME=VALUE. What reads as JSON (a number, true, a list) is that; everything else is text.
Result<bj::object> attributes_of(const FlagEvalArguments& arguments) {
  bj::object out;
  for (const auto& one : arguments.attributes) {
    const auto equals = one.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(user_error("flag.context", fmt::format("{} is no NAME=VALUE", clean(one)))
                      .with_hint("for example --context context=internal"));
    const std::string text = one.substr(equals + 1);
    const auto value = json::parse(text, one.substr(0, equals));
    out[one.substr(0, equals)] = value ? *value : bj::value(text);
  }
  if (!arguments.targeting_key.empty()) out["targetingKey"] = arguments.targeting_key;
  return out;
}

// OFREP's errors are of another form than ours.
Error evaluation_error(const HttpAnswer& answer, const bj::object& body, const std::string& key) {
  const std::string code = text_at(body, "errorCode");
  std::string text = text_at(body, "errorDetails");
  if (text.empty()) text = fmt::format("{} for flag {}", code, key);
  const bool user = answer.status < 500;
  return make_error(user ? Disposition::kUser : Disposition::kRetry, "flag." + code, std::move(text))
      .with_hint(code == "FLAG_NOT_FOUND" ? "`poundlock flag list` shows the flags" : "");
}

}  // namespace

int flag_list_command(Context& context) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->get("/v1/flags");
  if (!answer) return report(context, answer.error());
  if (context.json) {
    print_json(context, *answer);
    return 0;
  }
  Table table({"flag", "state", "default", "targeting", "owner"});
  for (const auto& value : list_at(*answer, "flags")) {
    const auto& flag = element(value);
    const auto& definition = object_at(flag, "definition");
    const std::string owner = text_at(flag, "rollout");
    const bool targeted = !object_at(definition, "targeting").empty();
    table.add({text_at(flag, "key"), text_at(definition, "state"), text_at(definition, "defaultVariant"),
               targeted ? "yes" : "-", owner.empty() ? "-" : owner});
  }
  if (table.empty()) {
    say(context, "there are no flags");
  } else {
    context.out << table.render(context.paint(), context.width) << std::flush;
  }
  return 0;
}

int flag_get_command(Context& context, const std::string& key) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->get(path_of(key));
  if (!answer) return report(context, answer.error());
  if (context.json) {
    print_json(context, *answer);
    return 0;
  }
  const auto& definition = object_at(*answer, "definition");
  const std::string owner = text_at(*answer, "rollout");
  say(context,
      fmt::format("{}  {}{}", context.paint()(Colour::kBold, clean(key)), clean(text_at(definition, "state")),
                  owner.empty() ? "" : ", of rollout " + clean(owner)));
  Table table({"variant", "value", "default"});
  for (const auto& variant : object_at(definition, "variants"))
    table.add({std::string(variant.key()), brief(variant.value()),
               variant.key() == text_at(definition, "defaultVariant") ? "yes" : ""});
  if (!table.empty()) context.out << table.render(context.paint(), context.width, 2);
  if (const auto* targeting = definition.if_contains("targeting"); targeting && targeting->is_object())
    say(context, "targeting " + brief(*targeting));
  return 0;
}

int flag_set_command(Context& context, const FlagSetArguments& arguments) {
  bj::object body{{"who", who_of(context)}, {"why", arguments.why}};
  if (arguments.variant.empty() == arguments.definition.empty())
    return report(context, user_error("flag.set", "give either --variant or --definition")
                               .with_hint("--variant on, or --definition @flag.json"));
  if (!arguments.variant.empty()) {
    body["variant"] = arguments.variant;
  } else {
    auto definition = definition_of(context, arguments.definition);
    if (!definition) return report(context, definition.error());
    body["definition"] = std::move(*definition);
  }
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->put(path_of(arguments.key), body);
  if (!answer) return report(context, answer.error());
  if (context.json) {
    print_json(context, *answer);
  } else {
    say(context, fmt::format("{} is set, published as revision {:.0f}", clean(arguments.key),
                             number_at(*answer, "revision").value_or(0)));
  }
  return 0;
}

int flag_eval_command(Context& context, const FlagEvalArguments& arguments) {
  auto attributes = attributes_of(arguments);
  if (!attributes) return report(context, attributes.error());
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->ask("/ofrep/v1/evaluate/flags/" + percent_encode(arguments.key),
                               {{"context", std::move(*attributes)}});
  if (!answer) return report(context, answer.error());
  const auto value = json::parse(answer->body, "the server's answer");
  const bool ofrep = value && value->is_object();
  if (!ofrep || (!value->as_object().contains("errorCode") && answer->status != 200)) {
    const auto ours = read_answer(*answer, api->url());
    return report(context, ours ? internal_error("the server's evaluation cannot be read") : ours.error());
  }
  const auto& body = value->as_object();
  if (answer->status != 200) return report(context, evaluation_error(*answer, body, arguments.key));
  if (context.json) {
    print_json(context, body);
    return 0;
  }
  const auto* result = body.if_contains("value");
  say(context,
      fmt::format("{}  (variant {}, {})", result ? brief(*result) : "no value: the code's default counts",
                  clean(text_at(body, "variant")), clean(text_at(body, "reason"))));
  return 0;
}

}  // namespace poundlock::cli
