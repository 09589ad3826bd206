// plan: what a rollout or a migration would do, step by step: unsafe SQL as safe phased steps. Changes
// nothing.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/bar.h"
#include "cli/commands.h"
#include "cli/plan_adopt.h"
#include "cli/plan_files.h"
#include "cli/plan_view.h"
#include "cli/plan_write.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "migration/search_path.h"
#include "ports/cells.h"
#include "postgres/catalog_loader.h"
#include "rollout/gate.h"
#include "rollout/plan.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

struct PlanArguments {
  std::vector<std::string> files;  // one rollout file, or SQL files and folders
  std::string database_url;
  double speed = 1;
  bool sql = false;
  bool in_transaction = false;
  std::string schema;  // "": not given
  std::string name = "migration";
  PlanWriting writing;
  bool adopt = false;
};

namespace bj = boost::json;
using rollout::Item;
using rollout::ItemKind;

struct RolloutPlan {
  rollout::Plan plan;
  schema::Catalog catalog;
};

Result<schema::Catalog> read_catalog(ports::Database& database) {
  PL_TRY(const auto session, database.connect());
  PL_CHECK(session->run("BEGIN READ ONLY"));
  return postgres::load_catalog(*session, {.schemas = {}, .tables = {}, .bounds = true});
}

Result<RolloutPlan> make(const Context& context, const PlanArguments& arguments) {
  const std::string& file = arguments.files.front();
  PL_TRY(const std::string text, read_file(context, file));
  PL_TRY(const auto spec, rollout::parse_rollout(text, file));
  PL_TRY(const auto database, open_database(context, arguments.database_url, spec.database));
  RolloutPlan out;
  PL_TRY(out.catalog, read_catalog(*database));
  PL_TRY(out.plan, rollout::make_plan(spec, out.catalog, {arguments.speed}));
  return out;
}

std::string blocks_of(const change::Step& step) {
  if (step.destructive && step.blocks_writers) return "yes, and drops data";
  if (step.destructive) return "no, but drops data";
  return step.blocks_writers ? "yes, for an instant" : "no";
}

std::string wait_of(const Item& item) {
  if (item.duration.count() > 0) return format_duration(item.duration);
  if (item.kind == ItemKind::kApproval) return "a person";
  return item.kind == ItemKind::kGates || item.moment ? "gates" : "";
}

std::string step_table(const rollout::Plan& plan, const Context& context) {
  Table table(
      {Column("#", Align::kRight), "phase", "what", "lock", "time-outs", "blocks writers", "waits for"});
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    const auto* step = item.step ? &*item.step : nullptr;
    const bool works = step && step->kind != change::StepKind::kCheck;
    const std::string blocks = works ? blocks_of(*step) : "";
    table.add({fmt::format("{}", i + 1), change::to_string(item.phase), item.title,
               works ? lock_of(*step) : "", works ? timeouts_of(*step) : "",
               Cell(blocks, blocks.empty() || blocks == "no" ? Colour::kDim : Colour::kYellow),
               wait_of(item)});
  }
  return table.render(context.paint(), context.width);
}

void print_sql(Context& context, const rollout::Plan& plan) {
  const Paint paint = context.paint();
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    if (!item.step || (item.step->sql.empty() && !item.step->in_step)) continue;
    say(context, "\n" + paint(Colour::kBold, fmt::format("-- {}. {}", i + 1, clean(item.title))));
    print_statements(context, "", item.step->sql);
    if (item.step->in_step) {
      say(context, "-- rows out of step: " + clean(item.step->in_step->out_of_step));
      if (item.step->kind == change::StepKind::kBackfill)
        say(context, "-- brought in step by: SET " + clean(item.step->in_step->assignment));
    }
    print_statements(context, "taken back by:", item.step->undo);
  }
  if (!plan.close_sync.empty())
    say(context, "\n" + paint(Colour::kBold, "-- first thing of a rollback of dual_write"));
  for (const auto& step : plan.close_sync) print_statements(context, step.title, step.sql);
  if (!plan.restore.empty())
    say(context, "\n" + paint(Colour::kBold, "-- rollback --restore, after the drop"));
  for (const auto& step : plan.restore) print_statements(context, step.title, step.sql);
}

const char* consequence_of(rollout::OnFailure what) {
  switch (what) {
    case rollout::OnFailure::kRollback: return "rolls back";
    case rollout::OnFailure::kPause: return "pauses, then rolls back";
    case rollout::OnFailure::kBlock: return "blocks";
  }
  return "";
}

std::string gates_table(const rollout::Plan& plan, const Context& context) {
  Table table({"gate", Column("limit", Align::kRight), "unit", Column("samples", Align::kRight), "a failure",
               "waived because"});
  for (const auto* gate : rollout::all_gates()) {
    const auto settings = rollout::settings_of(*gate, plan);
    table.add({std::string(gate->id), format_number(settings.limit), std::string(gate->unit),
               settings.min_samples > 0 ? format_count(static_cast<double>(settings.min_samples)) : "-",
               consequence_of(gate->on_failure), Cell(settings.waived.value_or(""), Colour::kYellow)});
  }
  return table.render(context.paint(), context.width);
}

bj::array gates_json(const rollout::Plan& plan) {
  bj::array out;
  for (const auto* gate : rollout::all_gates()) {
    const auto settings = rollout::settings_of(*gate, plan);
    out.push_back(bj::object{{"gate", gate->id},
                             {"title", gate->title},
                             {"limit", settings.limit},
                             {"unit", gate->unit},
                             {"min_samples", settings.min_samples},
                             {"deadline_ms", settings.deadline.count()},
                             {"on_failure", consequence_of(gate->on_failure)},
                             {"waived", settings.waived ? bj::value(*settings.waived) : bj::value(nullptr)}});
  }
  return out;
}

// As it will be: the speed is in the items already, and not in what the file says.
Millis dwell_of(const rollout::Plan& plan) {
  for (const Item& item : plan.items)
    if (item.kind == ItemKind::kExposure) return item.duration;
  return plan.flag->interval;
}

void print_text(Context& context, const rollout::Plan& plan, bool sql) {
  const Paint paint = context.paint();
  say(context, fmt::format("{}  profile {}, {}{}", paint(Colour::kBold, clean(plan.rollout)),
                           change::to_string(plan.profile), steps_text(plan.items.size()),
                           plan.speed != 1 ? fmt::format(", windows divided by {:g}", plan.speed) : ""));
  context.out << "\n" << step_table(plan, context);
  if (plan.flag) {
    std::string steps;
    for (const double step : plan.flag->steps)
      steps += (steps.empty() ? "" : ", ") + fmt::format("{:g}", step);
    say(context, fmt::format("\nflag {}: {} % of everybody, {} at each", clean(plan.flag->key), steps,
                             format_duration(dwell_of(plan))));
    for (const auto& name : plan.excluded_contexts())
      say(context, fmt::format("context {} stays on legacy until it is released", clean(name)));
  }
  if (plan.profile != change::Profile::kAdditive) context.out << "\n" << gates_table(plan, context);
  if (!plan.notes.empty()) say(context, "\n" + paint(Colour::kBold, "notes"));
  for (const auto& note : plan.notes) say(context, "- " + clean(note));
  if (sql) print_sql(context, plan);
  context.out << std::flush;
}

int plan_rollout(Context& context, const PlanArguments& arguments) {
  if (!arguments.writing.path.empty())
    return report(context, user_error("plan.write", "a rollout is a file already: --write is for SQL"));
  const auto made = make(context, arguments);
  if (!made) return report(context, made.error());
  if (context.json) {
    // steps and decisions are what every plan has; plan and gates what only a rollout has.
    print_json(context, bj::object{{"steps", steps_json(steps_of(made->plan, &made->catalog))},
                                   {"decisions", bj::array()},
                                   {"plan", rollout::to_json(made->plan)},
                                   {"gates", gates_json(made->plan)}});
  } else {
    print_text(context, made->plan, arguments.sql);
  }
  return 0;
}

// Where the role of the database's sessions finds names, whatever a session of ours is given.
Result<std::vector<std::string>> search_path_of(ports::Database& database) {
  PL_TRY(const auto session, database.connect());
  PL_CHECK(session->run("BEGIN READ ONLY"));
  PL_CHECK(
      session->run("SELECT pg_catalog.set_config('search_path', reset_val, true) FROM pg_catalog.pg_settings "
                   "WHERE name = 'search_path'"));
  PL_TRY(const auto rows, session->run("SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))"));
  std::vector<std::string> out;
  for (const auto& row : rows.rows) out.push_back(ports::to_text(row[0]));
  return out;
}

// Once: standard input is not read twice.
Result<std::vector<migration::Source>> sources_of(const Context& context, const PlanArguments& arguments) {
  PL_TRY(auto sources, plan_sources(context, arguments.files));
  if (arguments.in_transaction)
    for (auto& source : sources) source.in_transaction = true;
  return sources;
}

Result<migration::SqlPlan> make_sql(const Context& context, const PlanArguments& arguments,
                                    std::span<const migration::Source> sources) {
  std::optional<schema::Catalog> catalog;
  migration::SqlPlanOptions options;
  options.name = arguments.name;
  if (!arguments.database_url.empty()) {
    PL_TRY(const auto database, open_database(context, arguments.database_url, ""));
    PL_TRY(catalog, read_catalog(*database));
    PL_TRY(auto path, search_path_of(*database));
    if (!path.empty()) options.search_path = std::move(path);
  }
  if (!arguments.schema.empty()) {
    std::erase(options.search_path, arguments.schema);
    options.search_path.insert(options.search_path.begin(), arguments.schema);
    if (!catalog) options.search_path.resize(1);
  }
  return migration::plan_sql(sources, catalog ? &*catalog : nullptr, options);
}

// Steps of which the catalog does not tell go with the rest of their plan: nothing says that they are
// missing.
bool all_there(const std::vector<Adopted>& states) {
  bool some = false;
  for (const Adopted state : states) {
    if (state == Adopted::kNotDone || state == Adopted::kHalf) return false;
    some = some || state == Adopted::kDone;
  }
  return some;
}

void print_adopted(Context& context, const migration::SqlPlan& plan, const std::vector<Adopted>& states,
                   bool recorded) {
  const bool all = all_there(states);
  if (context.json) {
    bj::array steps;
    for (std::size_t i = 0; i < states.size(); ++i)
      steps.push_back(bj::object{{"id", plan.steps[i].step.id}, {"state", to_string(states[i])}});
    print_json(context, bj::object{{"adopted", all}, {"recorded", recorded}, {"steps", std::move(steps)}});
    return;
  }
  Table table({Column("#", Align::kRight), "what", "on the database"});
  for (std::size_t i = 0; i < states.size(); ++i)
    table.add({fmt::format("{}", i + 1), clean(plan.steps[i].step.title),
               Cell(to_string(states[i]), states[i] == Adopted::kDone ? Colour::kPlain : Colour::kYellow)});
  context.out << table.render(context.paint(), context.width);
  say(context, all ? "\nAll that the catalog tells of is there." : "\nNot all of it is there.");
  if (recorded) say(context, "The files are written, and the tool's history takes them as run.");
}

// The files first: a row of the history without its file makes the tool refuse to go on.
Status record(Context& context, ports::Session& session, const migration::SqlPlan& plan,
              const PlanArguments& arguments) {
  PlanWriting writing = arguments.writing;
  writing.options.name = arguments.name;
  PL_TRY(const auto planned, planned_files(context, plan, writing));
  PL_TRY(const auto statements,
         migration::history_sql(planned.format, planned.files, planned.options,
                                arguments.schema.empty() ? "public" : arguments.schema, writing.path));
  writing.options = planned.options;
  PL_TRY(const auto written, write_plan_files(context, plan, writing));
  auto recorded = record_history(session, statements);
  if (!recorded && recorded.error().disposition != Disposition::kInDoubt && !writing.force)
    remove_plan_files(context, written.files);
  return recorded;
}

int adopt(Context& context, const PlanArguments& arguments) {
  const auto go = [&]() -> Result<bool> {
    // Planned without the catalog: the change is in it already.
    PlanArguments blind = arguments;
    blind.database_url.clear();
    PL_TRY(const auto sources, sources_of(context, arguments));
    PL_TRY(const auto plan, make_sql(context, blind, sources));
    PL_TRY(const auto database, open_database(context, arguments.database_url, ""));
    PL_TRY(const auto session, database->connect());
    PL_TRY(const auto states, adopted(*session, plan));
    const bool write = all_there(states) && !arguments.writing.path.empty();
    if (write) PL_CHECK(record(context, *session, plan, arguments));
    print_adopted(context, plan, states, write);
    return all_there(states);
  };
  const auto done = go();
  if (!done) return report(context, done.error());
  return *done ? 0 : 1;
}

// Without a database and without --schema the tool's session finds what has no schema, and nobody else.
Result<migration::SqlPlan> to_write(const Context& context, const PlanArguments& arguments,
                                    std::span<const migration::Source> sources,
                                    const migration::SqlPlan& plan) {
  if (!arguments.database_url.empty() || !arguments.schema.empty()) return plan;
  PlanArguments by_session = arguments;
  by_session.schema = migration::kBySession;
  PL_TRY(auto made, make_sql(context, by_session, sources));
  migration::leave_to_session(made);
  return made;
}

int plan_sql_files(Context& context, const PlanArguments& arguments) {
  const auto sources = sources_of(context, arguments);
  if (!sources) return report(context, sources.error());
  const auto plan = make_sql(context, arguments, *sources);
  if (!plan) return report(context, plan.error());
  bj::array files;
  bj::array late;
  std::vector<std::string> contract;
  if (!arguments.writing.path.empty()) {
    PlanWriting writing = arguments.writing;
    writing.options.name = arguments.name;
    const auto made = to_write(context, arguments, *sources, *plan);
    if (!made) return report(context, made.error());
    const auto written = write_plan_files(context, *made, writing);
    if (!written) return report(context, written.error());
    for (const auto& file : written->files) files.emplace_back(file);
    contract = written->contract;
    for (const auto& file : contract) late.emplace_back(file);
  }
  if (context.json) {
    bj::array notes;
    for (const auto& note : plan->plan.notes) notes.emplace_back(note);
    print_json(context, bj::object{{"steps", steps_json(plan->steps)},
                                   {"decisions", decisions_json(plan->decisions)},
                                   {"notes", std::move(notes)},
                                   {"written", std::move(files)},
                                   {"written_contract", std::move(late)}});
  } else {
    print_sql_plan(context, *plan, arguments.sql);
    for (const auto& file : files) say(context, "wrote " + clean(std::string_view(file.as_string())));
    if (!contract.empty())
      say(context,
          "\nOf the contract phase, behind no gate, and not to be deployed together with the others:");
    for (const auto& file : contract) say(context, "  " + clean(file));
  }
  return 0;
}

int plan_command(Context& context, const PlanArguments& arguments) {
  const bool rollout = arguments.files.size() == 1 && is_rollout_file(arguments.files.front());
  if (rollout) return plan_rollout(context, arguments);
  return arguments.adopt ? adopt(context, arguments) : plan_sql_files(context, arguments);
}

}  // namespace

void add_plan(CLI::App& app, Context& context) {
  auto a = std::make_shared<PlanArguments>();
  auto* plan = add_verb(app, context, "plan",
                        "the ordered steps of a rollout or of SQL files, with locks and time-outs",
                        [&context, a] { return plan_command(context, *a); });
  plan->add_option("file", a->files,
                   "one rollout file; or SQL files, folders of Flyway's, - for standard input")
      ->required();
  plan->add_option("--database-url", a->database_url,
                   "plan against this database instead of poundlock.yaml's; SQL is planned without any");
  plan->add_option("--speed", a->speed, "divide windows and dwell by this")->check(CLI::Range(1.0, 1e9));
  plan->add_flag("--sql", a->sql, "print the exact SQL of each step");
  plan->add_option("--schema", a->schema,
                   "where names without a schema are, when no database tells: public, and in files that are "
                   "written wherever the session that runs them finds them");
  plan->add_option("--name", a->name, "the plan's name, of ledger rows and files");
  plan->add_option("--write", a->writing.path, "write the plan: a .sql or .yaml file, or a folder of files");
  plan->add_option(
      "--format", a->writing.format,
      "of --write: flyway, liquibase, alembic, rails, sql, rollout; unless given, as ddl_owner says");
  plan->add_option("--version", a->writing.options.version, "first version of what is written");
  plan->add_option("--after", a->writing.options.after, "Alembic's revision that it comes behind");
  plan->add_flag(
      "--adopt", a->adopt,
      "what of it is on the database already, by each step's probe; with --write, and all of it there, the "
      "tool's files and its history rows");
  plan->add_flag("--force", a->writing.force, "write over files that are there");
  plan->add_flag("--in-transaction", a->in_transaction, "the runner puts each file into one transaction");
}

}  // namespace poundlock::cli
