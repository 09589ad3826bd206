// start, status, promote, pause, resume, rollback, approve, abort: orders to poundlockd.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/api.h"
#include "cli/bar.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/view.h"
#include "cli/watching.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;

std::string path_of(const std::string& name) {
  return "/v1/rollouts/" + percent_encode(name);
}

int show(Context& context, const bj::object& view) {
  if (context.json) {
    print_json(context, view);
    return 0;
  }
  for (const auto& line : view_lines(view, look_of(context))) say(context, line);
  return 0;
}

int show_all(Context& context, const bj::object& answer) {
  if (context.json) {
    print_json(context, answer);
    return 0;
  }
  Table table({"rollout", "mode", "phase", Column("progress", Align::kRight), "now", "next"});
  for (const auto& value : list_at(answer, "rollouts")) {
    const auto& one = element(value);
    const std::string mode = text_at(one, "mode");
    table.add({text_at(one, "name"), Cell(mode, colour_of(mode)), text_at(one, "phase"),
               format_percent(number_at(one, "progress").value_or(0)), text_at(one, "headline"),
               text_at(one, "next")});
  }
  if (table.empty()) {
    say(context, "no rollout has been started; `poundlock start rollouts/NAME.yaml` starts one");
  } else {
    context.out << table.render(context.paint(), context.width) << std::flush;
  }
  return 0;
}

std::string milliseconds(const bj::object& record, std::string_view key) {
  const auto value = number_at(record, key);
  return value ? fmt::format("{:.0f} ms", *value) : "not yet";
}

// The readers that have not applied the newest flag: why a rollback is not everywhere yet.
std::string late_readers(const bj::object& view) {
  const auto& flag = object_at(view, "flag");
  const double revision = number_at(flag, "revision").value_or(0);
  std::string out;
  for (const auto& value : list_at(view, "instances")) {
    const auto& one = element(value);
    if (bool_at(one, "departed") || number_at(one, "revision").value_or(0) >= revision) continue;
    out += (out.empty() ? "" : ", ") + clean(text_at(one, "service") + "/" + text_at(one, "instance"));
  }
  return out;
}

int wait_for_everybody(Context& context, Api& api, const OrderArguments& arguments) {
  const auto until = context.clock.steady() + arguments.limit;
  auto view = wait_until(context, api, arguments.name, until, Millis{50}, [&](const bj::object& seen) {
    const auto& records = list_at(seen, "rollbacks");
    const std::string mode = text_at(seen, "mode");
    const bool over = mode == "rolled_back" || mode == "aborted";
    if (arguments.subject == "restore") return over || mode == "done";
    if (!over || records.empty()) return over;
    // Rolled back without a publication: the flag was off already, and nobody has to come back.
    const auto& last = element(records.back());
    return !number_at(last, "flag_off_ms") || number_at(last, "everybody_back_ms").has_value();
  });
  if (!view) {
    if (view.error().code != "wait.limit") return report(context, view.error());
    const auto last = api.get(path_of(arguments.name));
    const std::string late = last ? late_readers(*last) : "";
    return report(context,
                  make_error(Disposition::kRefused, "rollback.unfinished",
                             fmt::format("not everybody is back after {}{}", format_duration(arguments.limit),
                                         late.empty() ? "" : "; not applied by " + late))
                      .with_hint("`poundlock watch " + arguments.name + "` shows what it waits for"));
  }
  if (context.json) {
    print_json(context, *view);
    return 0;
  }
  const auto& records = list_at(*view, "rollbacks");
  if (!records.empty()) {
    const auto& last = element(records.back());
    say(context, number_at(last, "flag_off_ms")
                     ? fmt::format("flag off after {}, applied by every reader after {}",
                                   milliseconds(last, "flag_off_ms"), milliseconds(last, "everybody_back_ms"))
                     : "the flag was off already");
  }
  say(context, clean(text_at(*view, "headline")));
  return 0;
}

}  // namespace

int start_command(Context& context, const StartArguments& arguments) {
  const auto source = read_file(context, arguments.file);
  if (!source) return report(context, source.error());
  // Read here first: a mistake in the file is told with its place even where no server is up.
  if (const auto spec = rollout::parse_rollout(*source, arguments.file); !spec)
    return report(context, spec.error());
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->post(
      "/v1/rollouts",
      {{"source", *source}, {"file", arguments.file}, {"speed", arguments.speed}, {"who", who_of(context)}});
  if (!answer) return report(context, answer.error());
  const std::string name = text_at(*answer, "rollout");
  if (!arguments.wait) {
    if (context.json) {
      print_json(context, *answer);
    } else {
      say(context,
          fmt::format("started {}; `poundlock watch {}` shows how it goes", clean(name), clean(name)));
    }
    return 0;
  }
  return follow(context, *api, name, {true, arguments.limit});
}

int status_command(Context& context, const std::string& name) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->get(name.empty() ? "/v1/rollouts" : path_of(name));
  if (!answer) return report(context, answer.error());
  return name.empty() ? show_all(context, *answer) : show(context, *answer);
}

// Without a name: the one that is under way, where there is only one.
int watch_command(Context& context, const std::string& name) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  if (!name.empty()) return follow(context, *api, name, {});
  const auto answer = api->get("/v1/rollouts");
  if (!answer) return report(context, answer.error());
  std::vector<std::string> names;
  for (const auto& value : list_at(*answer, "rollouts")) {
    const std::string mode = text_at(element(value), "mode");
    if (mode != "done" && mode != "aborted") names.push_back(text_at(element(value), "name"));
  }
  if (names.size() == 1) return follow(context, *api, names.front(), {});
  std::string hint = "`poundlock status` lists all rollouts";
  for (std::size_t i = 0; i < names.size(); ++i)
    hint = (i == 0 ? "name one of: " : hint + ", ") + clean(names[i]);
  return report(context, user_error("watch.name", names.empty() ? "no rollout is under way"
                                                                : "several rollouts are under way")
                             .with_hint(hint));
}

int order_command(Context& context, const OrderArguments& arguments) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer =
      api->post(path_of(arguments.name) + "/" + arguments.verb,
                {{"who", who_of(context)}, {"why", arguments.why}, {"subject", arguments.subject}});
  if (!answer) return report(context, answer.error());
  if (arguments.wait) return wait_for_everybody(context, *api, arguments);
  if (context.json) {
    print_json(context, *answer);
    return 0;
  }
  say(context, fmt::format("{}: {}", clean(text_at(*answer, "name")), clean(text_at(*answer, "headline"))));
  if (const auto next = text_at(*answer, "next"); !next.empty()) say(context, "next: " + clean(next));
  return 0;
}

}  // namespace poundlock::cli
