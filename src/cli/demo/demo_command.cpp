// `poundlock demo`: one schema change through all four phases on a live PostgreSQL, with a fault or two.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <boost/json.hpp>
#include <csignal>

#include "cli/commands.h"
#include "cli/demo/story.h"
#include "cli/demo/summary.h"
#include "cli/live.h"
#include "cli/watching.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
std::atomic<bool> interrupted{false};

void on_signal(int) {
  interrupted = true;
}

void take_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (const int one : {SIGINT, SIGTERM, SIGHUP}) sigaction(one, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

// A terminal gets a view that is redrawn; anything else gets lines. With --output json both go to
// standard error, so that standard output holds the one object.
class Screen {
 public:
  explicit Screen(Context& context)
      : out_(context.json ? context.err : context.out),
        look_(look_of(context)),
        live_(out_, context.width, context.height),
        lines_(look_),
        terminal_(context.terminal && !context.json) {}
  void show(const bj::object& view) {
    if (terminal_) {
      live_.draw(view_lines(view, look_));
      return;
    }
    for (const auto& line : lines_.update(view)) out_ << line << "\n" << std::flush;
  }
  void say(const std::string& line) {
    const std::string text = look_.paint(Colour::kBold, "demo: ") + line;
    if (terminal_)
      live_.print(text);
    else
      out_ << text << "\n" << std::flush;
  }
  void leave() { live_.leave(); }

 private:
  std::ostream& out_;
  const Look look_;
  Live live_;
  LineReporter lines_;
  const bool terminal_;
};

// A demo that ended badly is kept as well: it is looked at, and it has to be stopped.
Status keep(Screen& screen, World& world) {
  PL_CHECK(world.write_stop());
  screen.say(fmt::format("kept running: poundlockd at {}, PostgreSQL at 127.0.0.1:{} (replica {})",
                         world.url(), world.cluster().port(), world.cluster().replica_port()));
  screen.say(fmt::format("files in {}: poundlock.yaml, rollouts, state/admin-token, logs; server data in {}",
                         world.directory(), world.cluster().directory()));
  screen.say(fmt::format("stop it all: {}/stop", world.directory()));
  screen.say(fmt::format("the passwords of its poundlock.yaml, for this shell: . {}/environment",
                         world.directory()));
  screen.say(fmt::format("look: poundlock --config {}/poundlock.yaml --server {} status orders_status_v2",
                         world.directory(), world.url()));
  return {};
}

Result<DemoResult> run(Context& context, const DemoOptions& options, Screen& screen) {
  screen.say(
      fmt::format("starting PostgreSQL with a replica, {} orders, poundlockd and orders_app", options.rows));
  PL_TRY(auto world, World::start(context, options));
  screen.say(
      fmt::format("windows and dwell are divided by {:g}; gates keep their limits; each needs 20 samples",
                  options.speed));
  Teller teller(
      context, *world, options, [&](const bj::object& view) { screen.show(view); },
      [&](const std::string& line) { screen.say(line); }, [] { return interrupted.load(); });
  auto story = teller.tell();
  screen.leave();
  if (interrupted) {
    world->tear_down();  // whoever stops it does not want to keep it; nothing is left to look at
    return fail(user_error("demo.stopped", "stopped"));
  }
  if (!story) {
    screen.say("the end of poundlockd's log:\n" + tail_of_file(world->directory() + "/poundlockd.log"));
    screen.say("the end of the application's errors:\n" +
               tail_of_file(world->directory() + "/app-1.json.errors"));
    if (options.keep) PL_CHECK(keep(screen, *world));
    return fail(std::move(story).error());
  }
  DemoResult result;
  result.story = std::move(*story);
  result.application = world->figures();
  result.max_stall_ms = world->stalls().longest_ms();
  result.stall_watch_failed = world->stalls().failed() || world->stalls().samples() == 0;
  PL_TRY(result.legacy_column_exists, world->column_exists("legacy_status"));
  result.faults_expected = options.faults;
  if (options.keep) {
    PL_CHECK(world->start_app("v2-new-only", false));  // stopped for the last comparison
    PL_CHECK(keep(screen, *world));
  }
  return result;
}

int demo_command(Context& context, const DemoOptions& options) {
  take_signals();
  Screen screen(context);
  auto result = run(context, options, screen);
  if (!result) {
    if (context.json) print_json(context, bj::object{{"ok", false}, {"error", error_json(result.error())}});
    if (interrupted) {
      context.err << "stopped; everything is cleaned up\n";
      return 130;
    }
    Context people = context;
    people.json = false;
    return report(people, result.error());
  }
  const bj::object summary = summary_json(*result);
  for (const auto& line : summary_lines(summary)) screen.say(line);
  if (context.json) print_json(context, summary);
  const bool ok = summary.at("ok").as_bool();
  screen.say(verdict_line(summary));
  return ok ? 0 : 1;
}

}  // namespace

void add_demo(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("demo", "one schema change through all four phases on a private live PostgreSQL");
  auto options = std::make_shared<DemoOptions>();
  command->add_option("--rows", options->rows, "orders in the table")
      ->check(CLI::Range(100, 50'000'000))
      ->capture_default_str();
  command
      ->add_option("--speed", options->speed, "divides windows and dwell; never a gate's limit or a time-out")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
  command->add_option("--rate", options->rate, "statements a second of the application")
      ->check(CLI::Range(10, 100'000))
      ->capture_default_str();
  command->add_flag("--keep", options->keep, "leave everything running and print the addresses");
  command->add_flag("!--no-faults", options->faults, "inject no fault into the new path");
  command->callback([&context, options] {
    context.verb = [&context, options] { return demo_command(context, *options); };
  });
}

}  // namespace poundlock::cli
