#include "cli/watching.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/fields.h"
#include "cli/live.h"
#include "cli/terminal.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
constexpr Millis kEvery{250};
constexpr Millis kPatience{60'000};  // how long a server may be away

bool may_come_back(const Error& error) {
  return error.disposition == Disposition::kReconnect || error.disposition == Disposition::kRetry;
}

bool closed(const bj::object& view) {
  const std::string mode = text_at(view, "mode");
  return mode == "done" || mode == "aborted";
}

// "14:05:09 " in UTC: pipelines of different places keep the same time.
std::string stamp(const Context& context) {
  return format_timestamp(context.clock.now()).substr(11, 8) + "Z ";
}

// Asks for the view; while the server is away, calls `away` and asks again, up to kPatience.
Result<bj::object> ask(Context& context, Api& api, const std::string& name,
                       const std::function<void(const Error&)>& away) {
  const TimePoint since = context.clock.steady();
  for (;;) {
    auto view = api.get("/v1/rollouts/" + percent_encode(name));
    if (view || !may_come_back(view.error())) return view;
    if (context.clock.steady() - since > kPatience) return view;
    if (away) away(view.error());
    context.clock.sleep(Millis{500});
  }
}

// One of three: a live view, lines, or a JSON object on each line.
class Screen {
 public:
  explicit Screen(Context& context)
      : context_(context), live_(context.out, context.width, context.height), lines_(look_of(context)) {}

  void show(const bj::object& view) {
    away_ = false;
    if (context_.json) return;
    if (context_.terminal) {
      measure_terminal(context_);
      live_.resize(context_.width, context_.height);
      live_.draw(view_lines(view, look_of(context_)));
      return;
    }
    for (const auto& line : lines_.update(view)) say(context_, stamp(context_) + line);
  }

  // With --output json a watcher gets every change; a wait prints its end only.
  void show_json(const bj::object& view) {
    bj::object core = view;
    for (const char* moving : {"now_ms", "step_progress", "windows"}) core.erase(moving);
    const std::string text = bj::serialize(core);
    if (text == last_json_) return;
    last_json_ = text;
    print_json(context_, view);
  }

  void away(const Error& error) {
    if (away_) return;
    away_ = true;
    context_.err << "poundlockd does not answer, trying again: " << clean(error.message) << std::endl;
    live_.leave();
  }

  void leave() { live_.leave(); }

 private:
  Context& context_;
  Live live_;
  LineReporter lines_;
  std::string last_json_;
  bool away_ = false;
};

}  // namespace

Look look_of(const Context& context) {
  return {context.paint(), context.width, context.utf8};
}

Result<bj::object> wait_until(Context& context, Api& api, const std::string& name, TimePoint until,
                              Millis every, const std::function<bool(const bj::object&)>& condition) {
  for (;;) {
    PL_TRY(auto view, ask(context, api, name, {}));
    if (condition(view)) return view;
    if (until.ms != 0 && context.clock.steady() >= until)
      return fail(
          make_error(Disposition::kRefused, "wait.limit", "it took longer than the limit of the wait"));
    context.clock.sleep(every);
  }
}

int follow(Context& context, Api& api, const std::string& name, const FollowOptions& options) {
  Screen screen(context);
  const TimePoint until = context.clock.steady() + options.limit;
  for (;;) {
    auto view = ask(context, api, name, [&](const Error& error) { screen.away(error); });
    if (!view) return report(context, view.error());
    screen.show(*view);
    // A reader that left (| head) is no reason to go on for days.
    if (!context.out) return exit_code(make_error(Disposition::kReconnect, "", ""));
    if (context.json && !options.until_verdict) screen.show_json(*view);
    const auto verdict = verdict_of(*view);
    if (options.until_verdict ? verdict.has_value() : closed(*view)) {
      screen.leave();
      if (!options.until_verdict) return 0;
      if (context.json) {
        print_json(context, *view);
      } else {
        say(context,
            look_of(context).paint(*verdict == 0 ? Colour::kGreen : Colour::kRed, verdict_text(*view)));
      }
      return *verdict;
    }
    if (options.limit.count() > 0 && context.clock.steady() >= until) {
      screen.leave();
      return report(context,
                    make_error(Disposition::kRefused, "wait.limit",
                               fmt::format("{} is not done after {}: {}", clean(name),
                                           format_duration(options.limit), clean(text_at(*view, "headline"))))
                        .with_hint("it goes on; `poundlock watch " + clean(name) + "` follows it"));
    }
    context.clock.sleep(kEvery);
  }
}

}  // namespace poundlock::cli
