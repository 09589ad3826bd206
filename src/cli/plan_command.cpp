// plan: what a rollout would do, step by step, against the schema that is there now. Changes nothing.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/bar.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "postgres/catalog_loader.h"
#include "rollout/gate.h"
#include "rollout/plan.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

struct PlanArguments {
  std::string file;
  std::string database_url;
  double speed = 1;
  bool sql = false;
};

namespace bj = boost::json;
using rollout::Item;
using rollout::ItemKind;

Result<rollout::Plan> make(const Context& context, const PlanArguments& arguments) {
  PL_TRY(const std::string text, read_file(context, arguments.file));
  PL_TRY(const auto spec, rollout::parse_rollout(text, arguments.file));
  PL_TRY(const auto database, open_database(context, arguments.database_url, spec.database));
  PL_TRY(const auto session, database->connect());
  PL_CHECK(session->run("BEGIN READ ONLY"));
  PL_TRY(const auto catalog, postgres::load_catalog(*session));
  return rollout::make_plan(spec, catalog, {arguments.speed});
}

std::string lock_of(const change::Step& step) {
  std::string mode = step.lock_mode;
  if (mode.ends_with("Lock")) mode.resize(mode.size() - 4);
  return mode.empty() ? "-" : mode;
}

// The lock's time-out for a try, and the statement's where there is one.
std::string timeouts_of(const change::Step& step) {
  std::string out = step.lock_timeout.count() > 0 ? format_duration(step.lock_timeout) : "-";
  if (step.statement_timeout.count() > 0) out += " / " + format_duration(step.statement_timeout);
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

void print_statements(Context& context, std::string_view title, const std::vector<std::string>& sql) {
  if (sql.empty()) return;
  if (!title.empty()) say(context, fmt::format("-- {}", title));
  for (const auto& statement : sql) {
    std::string text = clean_lines(statement);
    while (!text.empty() && (text.back() == '\n' || text.back() == ';')) text.pop_back();
    say(context, text + ";");
  }
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
  say(context, fmt::format("{}  profile {}, {} steps{}", paint(Colour::kBold, clean(plan.rollout)),
                           change::to_string(plan.profile), plan.items.size(),
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

int plan_command(Context& context, const PlanArguments& arguments) {
  const auto plan = make(context, arguments);
  if (!plan) return report(context, plan.error());
  if (context.json) {
    print_json(context, bj::object{{"plan", rollout::to_json(*plan)}, {"gates", gates_json(*plan)}});
  } else {
    print_text(context, *plan, arguments.sql);
  }
  return 0;
}

}  // namespace

void add_plan(CLI::App& app, Context& context) {
  auto a = std::make_shared<PlanArguments>();
  auto* plan = add_verb(app, context, "plan", "the ordered steps of a rollout, with locks and time-outs",
                        [&context, a] { return plan_command(context, *a); });
  plan->add_option("file", a->file, "rollout file")->required();
  plan->add_option("--database-url", a->database_url,
                   "plan against this database instead of poundlock.yaml's");
  plan->add_option("--speed", a->speed, "divide windows and dwell by this")->check(CLI::Range(1.0, 1e9));
  plan->add_flag("--sql", a->sql, "print the exact SQL of each step");
}

}  // namespace poundlock::cli
