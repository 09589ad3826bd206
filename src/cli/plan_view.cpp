#include "cli/plan_view.h"

#include <fmt/format.h>

#include "cli/bar.h"
#include "cli/table.h"
#include "cli/text.h"
#include "schema/identifier.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
using change::StepKind;
using migration::SqlStep;

// orders and app."Order Items", for people and for comparing with what a dry run reports.
std::string table_of(const change::Step& step) {
  const auto name = schema::parse_qualified_name(step.relation);
  return name ? name->to_sql() : step.relation;
}

bool in_transaction(const change::Step& step) {
  return step.kind == StepKind::kTransaction;
}

bj::object step_json(const SqlStep& one) {
  const change::Step& step = one.step;
  bj::object out{{"id", step.id},
                 {"phase", change::to_string(step.phase)},
                 {"transaction_group", one.transaction_group},
                 {"in_transaction", in_transaction(step)},
                 {"kind", change::to_string(step.kind)},
                 {"title", step.title},
                 {"sql", migration::sql_text(step)},
                 {"lock_mode", step.lock_mode},
                 {"lock_table", table_of(step)},
                 {"lock_timeout_ms", step.lock_timeout.count()},
                 {"statement_timeout_ms", step.statement_timeout.count()},
                 {"rewrites", one.rewrites},
                 {"scans", one.scans},
                 {"writes_rows", one.writes_rows},
                 {"blocks", one.blocks},
                 {"seconds", one.seconds ? bj::value(*one.seconds) : bj::value(nullptr)},
                 {"destructive", step.destructive},
                 {"undo", migration::undo_text(step)},
                 {"probe", migration::probe_text(step)},
                 {"repair", step.repair.empty() ? "" : step.repair.front() + ";"}};
  if (!one.file.empty()) {
    out["file"] = one.file;
    out["line"] = one.line;
    out["rewritten"] = one.rewritten;
  }
  return out;
}

std::string seconds_text(const SqlStep& one) {
  if (!one.seconds) return "?";
  if (*one.seconds < 0.1) return "an instant";
  return "about " + format_duration(Millis{static_cast<std::int64_t>(*one.seconds * 1000)});
}

std::string work_of(const SqlStep& one) {
  if (one.rewrites) return "rewrites";
  if (one.scans) return "reads all";
  return one.writes_rows ? "rows" : "catalog";
}

std::string step_table(const migration::SqlPlan& plan, const Context& context) {
  Table table({Column("#", Align::kRight), "phase", Column("group", Align::kRight), "what", "on", "lock",
               "time-outs", "does", "takes", "stops"});
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const SqlStep& one = plan.steps[i];
    const std::string stops = one.step.destructive
                                  ? one.blocks + (one.blocks.empty() ? "" : ", ") + "drops data"
                              : one.blocks.empty() ? "nothing"
                                                   : one.blocks;
    table.add(
        {fmt::format("{}", i + 1), change::to_string(one.step.phase),
         fmt::format("{}{}", one.transaction_group, in_transaction(one.step) ? "" : "*"),
         clean(one.step.title), clean(table_of(one.step)), lock_of(one.step), timeouts_of(one.step),
         work_of(one), seconds_text(one),
         Cell(stops, stops == "nothing" || stops == "schema changes" ? Colour::kDim : Colour::kYellow)});
  }
  return table.render(context.paint(), context.width);
}

void print_steps_sql(Context& context, const migration::SqlPlan& plan) {
  const Paint paint = context.paint();
  int group = 0;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const SqlStep& one = plan.steps[i];
    if (one.transaction_group != group)
      say(context, "\n" + paint(Colour::kBold,
                                fmt::format("-- {}. {}{}", i + 1, clean(one.step.title),
                                            in_transaction(one.step) ? "" : ", outside a transaction")));
    group = one.transaction_group;
    print_statements(context, "", {migration::sql_text(one.step)});
    if (!one.step.probe.empty()) say(context, "-- done when: " + clean(one.step.probe));
    print_statements(context, "taken back by:", one.step.undo);
    print_statements(context, "after a failure in the middle:", one.step.repair);
  }
}

void print_decision(Context& context, const migration::Decision& one) {
  const Paint paint = context.paint();
  say(context, fmt::format("{}:{}:{}: {}", clean(one.file), one.line, one.column,
                           paint(Colour::kYellow, clean(one.sql))));
  for (const auto& line : wrap(clean(one.why), context.width > 20 ? context.width - 2 : 100))
    say(context, "  " + line);
  for (const auto& choice : one.choices) say(context, "  - " + clean(choice));
  if (one.rollout.empty()) return;
  const bool blank = one.rollout.find("OLD_") != one.rollout.npos;
  say(context, blank
                   ? "  a rollout that does it, with the names of yours in place of OLD_COLUMN and OLD_TYPE:"
                   : "  a rollout that does it:");
  std::string_view rest = one.rollout;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    say(context, "    " + clean_lines(std::string(rest.substr(0, end))));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
}

}  // namespace

std::string steps_text(std::size_t count) {
  return fmt::format("{} step{}", count, count == 1 ? "" : "s");
}

std::string lock_of(const change::Step& step) {
  std::string mode = step.lock_mode;
  if (mode.ends_with("Lock")) mode.resize(mode.size() - 4);
  return mode.empty() ? "-" : mode;
}

std::string timeouts_of(const change::Step& step) {
  std::string out = step.lock_timeout.count() > 0 ? format_duration(step.lock_timeout) : "-";
  if (step.statement_timeout.count() > 0) out += " / " + format_duration(step.statement_timeout);
  return out;
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

bj::array steps_json(std::span<const SqlStep> steps) {
  bj::array out;
  for (const SqlStep& one : steps) out.push_back(step_json(one));
  return out;
}

bj::array decisions_json(std::span<const migration::Decision> decisions) {
  bj::array out;
  for (const auto& one : decisions) {
    bj::array choices;
    for (const auto& choice : one.choices) choices.emplace_back(choice);
    out.push_back(bj::object{{"file", one.file},
                             {"line", one.line},
                             {"column", one.column},
                             {"sql", one.sql},
                             {"why", one.why},
                             {"choices", std::move(choices)},
                             {"rollout", one.rollout}});
  }
  return out;
}

std::vector<SqlStep> steps_of(const rollout::Plan& plan, const schema::Catalog* catalog) {
  std::vector<SqlStep> out;
  int group = 0;
  for (const auto& item : plan.items) {
    if (!item.step || item.step->kind == StepKind::kCheck) continue;
    out.push_back(migration::seen(*item.step, catalog));
    out.back().transaction_group = ++group;
  }
  return out;
}

void print_sql_plan(Context& context, const migration::SqlPlan& plan, bool sql) {
  const Paint paint = context.paint();
  say(context, fmt::format("{}, {} left to a person", steps_text(plan.steps.size()), plan.decisions.size()));
  if (!plan.steps.empty()) {
    context.out << "\n" << step_table(plan, context);
    say(context, "\nSteps of one group commit together; * stands outside a transaction.");
  }
  if (!plan.plan.notes.empty()) say(context, "\n" + paint(Colour::kBold, "notes"));
  for (const auto& note : plan.plan.notes) say(context, "- " + clean(note));
  if (!plan.decisions.empty())
    say(context, "\n" + paint(Colour::kBold, "left to a person, and not among the steps"));
  for (const auto& one : plan.decisions) print_decision(context, one);
  if (sql) print_steps_sql(context, plan);
  context.out << std::flush;
}

}  // namespace poundlock::cli
