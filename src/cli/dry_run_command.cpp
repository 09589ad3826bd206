// dry-run: the change on a shadow, with every lock, rewrite and scan traced and the lock queue measured.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>

#include "cli/commands.h"
#include "cli/dry_run_output.h"
#include "cli/live.h"
#include "cli/migration_files.h"
#include "cli/sampled_traffic.h"
#include "cli/stoppable_shadow.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "cli/workbench.h"
#include "engine/traffic_script.h"
#include "migration/sql_plan.h"
#include "postgres/database.h"

namespace poundlock::cli {
namespace {

struct DryRunArguments {
  std::vector<std::string> files;
  WorkbenchArguments bench;
  std::vector<std::string> traffic;
  std::string traffic_from, output_sql;
  std::int64_t scale = 1;  // pgbench's
  Millis long_transaction{1'000};
  Millis lock_timeout{50};
  int sessions = 4;
  bool no_queue = false;
  bool planned = false;  // what `plan` makes of the migrations, in their stead
};

bool is_rollout(const std::vector<std::string>& files) {
  return files.size() == 1 && (files[0].ends_with(".yaml") || files[0].ends_with(".yml"));
}

// Told line by line on a terminal's last line, and nowhere else.
class Told {
 public:
  explicit Told(Context& context)
      : context_(context),
        live_(context.err, context.width, context.height),
        shown_(context.terminal && context.output == "text") {}
  ~Told() {
    if (shown_) live_.draw({});
  }
  void operator()(const std::string& what) {
    if (shown_) live_.draw({fit(clean(what), context_.width > 4 ? context_.width - 1 : 79)});
  }

 private:
  Context& context_;
  Live live_;
  const bool shown_;
};

struct Work {
  rollout::Plan plan;  // of scripts only their tables
  std::vector<engine::Script> scripts;
  std::vector<engine::LeftOut> left_out;
  std::vector<schema::QualifiedName>
      reads;  // tables that the migrations name, of which the plan knows steps only
};

// A plan of which a part was not tried is not one that may run.
void add_left_out(const Work& work, engine::DryRunReport& report) {
  report.left_out.insert(report.left_out.end(), work.left_out.begin(), work.left_out.end());
  for (const auto& one : work.left_out)
    report.why_not.push_back(
        fmt::format("not tried, a person decides first: {}:{}: {}", one.file, one.line, one.why));
  if (!work.left_out.empty())
    report.notes.push_back("`poundlock plan` shows the choices of what was not tried");
  report.passed = report.why_not.empty();
}

Status add_traffic(Context& context, const DryRunArguments& arguments, engine::ShadowUse& shadow,
                   const rollout::Plan& plan, engine::DryRunOptions& options,
                   std::vector<std::string>& left_out) {
  engine::Jitter random(1);
  if (!arguments.traffic.empty()) {
    std::vector<engine::TrafficScript> scripts;
    for (const auto& name : arguments.traffic) {
      PL_TRY(auto script, engine::parse_traffic_name(name));
      PL_TRY(script.text, read_file(context, script.file));
      scripts.push_back(std::move(script));
    }
    PL_TRY(options.queue.traffic, engine::parse_traffic(scripts, arguments.scale, random));
  }
  if (!arguments.traffic_from.empty()) {
    PL_TRY(auto sampled, sampled_traffic(arguments.traffic_from, shadow.database(), plan));
    auto& traffic = options.queue.traffic;
    traffic.insert(traffic.end(), sampled.statements.begin(), sampled.statements.end());
    left_out = std::move(sampled.left_out);
  }
  return {};
}

Result<engine::DryRunReport> run_work(Context& context, const DryRunArguments& arguments, Workbench& bench,
                                      Work& work) {
  const engine::CheckContext check = bench.check(work.plan);
  Told told(context);
  told("making the shadow");
  rollout::Plan sampled = work.plan;
  for (const auto& table : work.reads) sampled.legacy.push_back({table.schema, table.name, ""});
  PL_TRY(auto shadow, engine::ShadowUse::create(bench.check(sampled)));
  const bool rollout = work.scripts.empty();
  const bool kept = shadow.info().kept;
  // What a killed run left in it.
  if (rollout && kept) {
    PL_CHECK(engine::back_on_shadow(check, shadow.database()));
  }
  engine::DryRunOptions options;
  options.measure_queue = !arguments.no_queue;
  options.queue.long_transaction = arguments.long_transaction;
  options.queue.lock_timeout = arguments.lock_timeout;
  options.queue.sessions = arguments.sessions;
  options.progress = [&](const std::string& what) { told(what); };
  std::vector<std::string> not_played;
  PL_CHECK(add_traffic(context, arguments, shadow, work.plan, options, not_played));
  const bool played = arguments.traffic_from.empty() || !options.queue.traffic.empty();
  if (!rollout) {
    PL_CHECK(leave_out_applied(shadow, work.scripts));
  }
  auto report = rollout ? engine::dry_run_plan(check, shadow, options)
                        : engine::dry_run_scripts(check, shadow, work.scripts, options);
  const bool stopped = check.ports.stopped();
  Status back;
  if (rollout && kept) back = engine::back_on_shadow(check, shadow.database());
  const Status gone = shadow.end();
  if (stopped) {
    Error error = stopped_error(kept && (!rollout || !back), arguments.bench.in_place);
    if (!back) error.message += ": " + back.error().message;
    return fail(ports::and_what_stays(std::move(error), gone));
  }
  if (!report) return fail(ports::and_what_stays(std::move(report).error(), gone));
  if (!back) return fail(ports::and_what_stays(back.error(), gone));
  PL_CHECK(gone);
  if (!rollout && kept)
    report->notes.push_back(arguments.bench.in_place
                                ? "--in-place: what the statements did stays in the shadow"
                                : "the shadow could not be copied: what the statements did stays in it");
  if (!rollout)
    report->notes.push_back(
        "run as written; --planned tries the safe steps that `poundlock plan` makes of it");
  report->notes.insert(report->notes.end(), bench.notes().begin(), bench.notes().end());
  for (const auto& one : not_played) report->notes.push_back("left out of the traffic: " + one);
  // What nothing was played beside says nothing about waiting.
  if (!played) report->why_not.push_back("no statement of --traffic-from can be played on the shadow");
  add_left_out(work, *report);
  return report;
}

Result<Work> read_work(Context& context, const DryRunArguments& arguments,
                       std::unique_ptr<Workbench>& bench) {
  Work work;
  if (is_rollout(arguments.files)) {
    PL_TRY(const std::string text, read_file(context, arguments.files[0]));
    PL_TRY(const auto spec, rollout::parse_rollout(text, arguments.files[0]));
    PL_TRY(bench, Workbench::open(context, arguments.bench, spec.database));
    PL_TRY(work.plan, bench->plan(spec));
    return work;
  }
  PL_TRY(const auto sources, read_migrations(context, arguments.files));
  PL_TRY(work.scripts, scripts_of(sources));
  PL_TRY(bench, Workbench::open(context, arguments.bench));
  PL_TRY(const auto catalog, bench->catalog());
  if (arguments.planned) {
    work.reads = tables_of_scripts(work.scripts, catalog);
    PL_TRY(auto planned, migration::plan_sql(sources, &catalog));
    work.scripts.clear();
    work.plan = std::move(planned.plan);
    for (const auto& one : planned.decisions) work.left_out.push_back({one.file, one.line, one.sql, one.why});
    return work;
  }
  work.plan.rollout = "dry_run";
  for (const auto& table : tables_of_scripts(work.scripts, catalog))
    work.plan.legacy.push_back({table.schema, table.name, ""});
  return work;
}

Result<engine::DryRunReport> dry_run(Context& context, const DryRunArguments& arguments) {
  std::unique_ptr<Workbench> bench;
  PL_TRY(auto work, read_work(context, arguments, bench));
  if (!arguments.output_sql.empty()) {
    const std::string sql = work.scripts.empty() ? plan_sql_file(work.plan) : scripts_sql_file(work.scripts);
    PL_CHECK(write_file(context, arguments.output_sql, sql));
  }
  return run_work(context, arguments, *bench, work);
}

int dry_run_command(Context& context, const DryRunArguments& arguments) {
  const auto done = dry_run(context, arguments);
  if (!done) return report(context, done.error());
  if (context.json)
    print_json(context, dry_run_json(*done));
  else if (context.output == "junit")
    context.out << dry_run_junit(*done) << std::flush;
  else
    context.out << dry_run_text(context, *done) << std::flush;
  return done->passed ? 0 : 1;
}

}  // namespace

void add_dry_run(CLI::App& app, Context& context) {
  auto a = std::make_shared<DryRunArguments>();
  auto* verb = add_verb(app, context, "dry-run", "try a change on a shadow: locks, rewrites, scans, stalls",
                        [&context, a] { return dry_run_command(context, *a); }, {"junit"});
  verb->add_option("file", a->files,
                   "a rollout file, or SQL files and folders of migrations as they are written")
      ->required()
      ->type_name(kFile);
  add_workbench(*verb, a->bench);
  verb->add_option(
          "--traffic", a->traffic,
          "a pgbench script to play while locks are waited for; several by their weight: FILE@WEIGHT")
      ->allow_extra_args(false)
      ->type_name(kFile);
  verb->add_option("--traffic-scale", a->scale, ":scale of that script")->check(CLI::PositiveNumber);
  verb->add_option("--traffic-from", a->traffic_from,
                   "a database whose pg_stat_statements tells what the application does");
  verb->add_option("--traffic-sessions", a->sessions, "how many play it")->check(CLI::Range(1, 16));
  add_duration(*verb, "--long-transaction", a->long_transaction,
               "how long a transaction that has written stands in the way (1s unless given)");
  add_duration(*verb, "--lock-timeout", a->lock_timeout, "of one try with our policy (50ms unless given)");
  verb->add_flag("--planned", a->planned, "of migrations the safe steps that plan makes of them");
  verb->add_flag("--no-queue", a->no_queue, "do not measure the lock queue");
  verb->add_option("--output-sql", a->output_sql, "write the exact SQL to this file")->type_name(kFile);
}

}  // namespace poundlock::cli
