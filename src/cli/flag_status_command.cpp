// flag status and flag stale: who has applied a flag, and which flags nobody needs any more.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/near_name.h"
#include "cli/table.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;

std::string count(const bj::object& from, const char* key) {
  return fmt::format("{:.0f}", number_at(from, key).value_or(0));
}

// "applied by 41, delivered to 3 without acknowledgement, departed 2, unknown 0; slowest 85 ms"
std::string reach_line(const bj::object& readers) {
  std::string out =
      fmt::format("applied by {}, delivered to {} without acknowledgement, departed {}, unknown {}",
                  count(readers, "acknowledged"), count(readers, "delivered"), count(readers, "departed"),
                  count(readers, "unknown"));
  if (const auto slowest = number_at(readers, "slowest_ms"))
    out += fmt::format("; slowest {:.0f} ms", *slowest);
  return out;
}

}  // namespace

int flag_wait_command(Context& context, const std::string& key, Millis limit) {
  constexpr Millis kPoll{100};
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const TimePoint until = context.clock.steady() + limit;
  for (;;) {
    const auto answer = api->get("/v1/flags/" + percent_encode(key) + "/status");
    if (!answer) return report(context, answer.error());
    const auto& readers = object_at(*answer, "readers");
    const bool everybody = number_at(readers, "unknown").value_or(0) == 0;
    const bool late = context.clock.steady() >= until;
    if (everybody || late) {
      if (!context.json) say(context, reach_line(readers));
      if (everybody) return 0;
      return report(
          context,
          make_error(Disposition::kRefused, "flag.not_everywhere", "not every reader is known to have it")
              .with_hint(fmt::format("`poundlock flag status {}` names them", clean(key))));
    }
    context.clock.sleep(kPoll);
  }
}

int flag_status_command(Context& context, const std::string& key) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->get("/v1/flags/" + percent_encode(key) + "/status");
  if (!answer) return report(context, with_near_flag(*api, answer.error(), key));
  if (context.json) {
    print_json(context, *answer);
    return 0;
  }
  const std::string owner = text_at(*answer, "rollout"), source = text_at(*answer, "source");
  const std::string overridden = text_at(*answer, "overridden");
  const auto& readers = object_at(*answer, "readers");
  say(context, fmt::format("{}  {}, {}, revision {}", context.paint()(Colour::kBold, clean(key)),
                           clean(text_at(*answer, "state")),
                           !owner.empty()    ? "of rollout " + clean(owner)
                           : !source.empty() ? "from " + clean(source)
                                             : "set by hand",
                           count(*answer, "revision")));
  if (!overridden.empty())
    say(context, context.paint()(Colour::kYellow, "the override file gives everybody " + clean(overridden)));
  say(context, reach_line(readers));
  for (const auto& value : list_at(readers, "instances")) {
    const auto& one = element(value);
    if (text_at(one, "state") == "unknown")
      say(context, fmt::format("  unknown: {} {} build {}, last seen {}", clean(text_at(one, "service")),
                               clean(text_at(one, "instance")), clean(text_at(one, "build")),
                               clean(text_at(one, "last_seen"))));
  }
  const std::string day = text_at(*answer, "last_evaluated");
  say(context, day.empty()
                   ? "no evaluation is known since " + clean(text_at(*answer, "evaluations_known_since"))
                   : "last evaluated on " + clean(day));
  Table table({"variant", "reason", Column("evaluations", Align::kRight)});
  for (const auto& value : list_at(*answer, "evaluations"))
    table.add({clean(text_at(element(value), "variant")), clean(text_at(element(value), "reason")),
               count(element(value), "count")});
  if (!table.empty()) context.out << table.render(context.paint(), context.width, 2) << std::flush;
  for (const auto& value : list_at(*answer, "warnings"))
    if (value.is_string())
      say(context, context.paint()(Colour::kYellow, "warning: ") + clean(std::string(value.as_string())));
  return 0;
}

int flag_stale_command(Context& context, int days) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const auto answer = api->get(fmt::format("/v1/stale-flags?days={}", days));
  if (!answer) return report(context, answer.error());
  if (context.json) {
    print_json(context, *answer);
    return 0;
  }
  Table table({"flag", "kind", "why"});
  for (const auto& value : list_at(*answer, "stale"))
    table.add({clean(text_at(element(value), "key")), clean(text_at(element(value), "kind")),
               clean(text_at(element(value), "reason"))});
  if (table.empty()) {
    say(context, "nothing is stale");
  } else {
    context.out << table.render(context.paint(), context.width) << std::flush;
  }
  say(context, fmt::format("evaluations are known since {}; readers that do not report theirs: {}",
                           clean(text_at(*answer, "evaluations_known_since")),
                           count(*answer, "readers_without_reports")));
  return 0;
}

}  // namespace poundlock::cli
