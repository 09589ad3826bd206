// flag list, get, set, on, off, delete, reset, export: plain flags and those of rollouts, on the server.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/near_name.h"
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

bool is_wanted(const bj::object& flag, const FlagListArguments& arguments) {
  const std::string key = text_at(flag, "key"), owner = text_at(flag, "rollout");
  if (key.find(arguments.match) == std::string::npos) return false;
  if (!arguments.owner.empty() && (arguments.owner == "plain" ? !owner.empty() : owner != arguments.owner))
    return false;
  return arguments.state.empty() || text_at(object_at(flag, "definition"), "state") == arguments.state;
}

}  // namespace

int flag_list_command(Context& context, const FlagListArguments& arguments) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  auto answer = api->get("/v1/flags");
  if (!answer) return report(context, answer.error());
  bj::array wanted;
  for (const auto& value : list_at(*answer, "flags"))
    if (is_wanted(element(value), arguments)) wanted.push_back(value);
  if (context.json) {
    (*answer)["flags"] = std::move(wanted);
    print_json(context, *answer);
    return 0;
  }
  Table table({"flag", "state", "default", "targeting", "owner"});
  for (const auto& value : wanted) {
    const auto& flag = element(value);
    const auto& definition = object_at(flag, "definition");
    const std::string owner = text_at(flag, "rollout");
    const bool targeted = !object_at(definition, "targeting").empty();
    table.add({text_at(flag, "key"), text_at(definition, "state"), text_at(definition, "defaultVariant"),
               targeted ? "yes" : "-", owner.empty() ? "-" : owner});
  }
  if (table.empty()) {
    say(context, list_at(*answer, "flags").empty() ? "there are no flags" : "no flag is like that");
  } else {
    context.out << table.render(context.paint(), context.width) << std::flush;
  }
  for (const auto& value : list_at(*answer, "refused")) {
    const auto& one = element(value);
    context.err << context.paint()(Colour::kYellow, "warning: ")
                << clean(fmt::format("{} is refused since {}, its last good flags stay: {}",
                                     text_at(one, "file"), text_at(one, "since"), text_at(one, "why")))
                << std::endl;
  }
  return 0;
}

int flag_get_command(Context& context, const std::string& key) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->get(path_of(key) + "/definition");
  if (!answer) return report(context, with_near_flag(*api, answer.error(), key));
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
  if (!answer) return report(context, with_near_flag(*api, answer.error(), arguments.key));
  if (context.json) {
    print_json(context, *answer);
  } else {
    say(context, fmt::format("{} is set, published as revision {:.0f}", clean(arguments.key),
                             number_at(*answer, "revision").value_or(0)));
    if (answer->contains("rule_decides"))
      say(context,
          fmt::format("its rule still decides where it answers; `poundlock flag off {}` is for everybody",
                      clean(arguments.key)));
  }
  return 0;
}

int flag_switch_command(Context& context, const FlagSetArguments& arguments, bool on) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer =
      api->put(path_of(arguments.key), {{"value", on}, {"who", who_of(context)}, {"why", arguments.why}});
  if (!answer) return report(context, with_near_flag(*api, answer.error(), arguments.key));
  if (context.json) {
    print_json(context, *answer);
    return 0;
  }
  say(context, fmt::format("{} is {} for everybody, published as revision {:.0f}", clean(arguments.key),
                           on ? "on" : "off", number_at(*answer, "revision").value_or(0)));
  if (const auto* rule = answer->if_contains("targeting"))
    say(context, fmt::format("its rule was taken out: {}", brief(*rule)));
  return 0;
}

int flag_delete_command(Context& context, const FlagSetArguments& arguments) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->erase(path_of(arguments.key), {{"who", who_of(context)}, {"why", arguments.why}});
  if (!answer) return report(context, with_near_flag(*api, answer.error(), arguments.key));
  if (context.json) {
    print_json(context, *answer);
    return 0;
  }
  say(context, fmt::format("{} is deleted, published as revision {:.0f}", clean(arguments.key),
                           number_at(*answer, "revision").value_or(0)));
  return 0;
}

int flag_reset_command(Context& context, const FlagSetArguments& arguments) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer =
      api->post(path_of(arguments.key) + "/reset", {{"who", who_of(context)}, {"why", arguments.why}});
  if (!answer) return report(context, with_near_flag(*api, answer.error(), arguments.key));
  if (context.json) {
    print_json(context, *answer);
    return 0;
  }
  say(context, fmt::format("{} is as {} says again, published as revision {:.0f}", clean(arguments.key),
                           clean(text_at(*answer, "source")), number_at(*answer, "revision").value_or(0)));
  return 0;
}

int flag_export_command(Context& context, const std::string& file) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->get("/v1/flags");
  if (!answer) return report(context, answer.error());
  bj::object flags;
  for (const auto& one : list_at(*answer, "flags"))
    flags[text_at(element(one), "key")] = object_at(element(one), "definition");
  const std::size_t count = flags.size();
  const bj::object document{{"flags", std::move(flags)}};
  if (file.empty()) {
    print_json(context, document);
    return 0;
  }
  if (auto written = write_file(context, file, json::dump(document) + "\n"); !written)
    return report(context, written.error());
  say(context, fmt::format("{} flag{} written to {}", count, count == 1 ? "" : "s", clean(file)));
  return 0;
}

}  // namespace poundlock::cli
