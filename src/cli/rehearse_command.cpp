// rehearse: the whole rollout forward, back from every phase and forward again, on a shadow.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "cli/workbench.h"
#include "engine/checks/rehearsal.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
using engine::LegVerdict;

struct RehearseArguments {
  std::string file;
  WorkbenchArguments workbench;
  bool phases_only = false;
  Millis budget{5 * 60'000};
};

bj::value report_json(const rollout::Plan& plan, const engine::RehearsalReport& report) {
  bj::array legs;
  for (const auto& one : report.legs)
    legs.push_back(bj::object{{"phase", change::to_string(one.phase)},
                              {"at", one.at},
                              {"direction", one.direction},
                              {"seconds", one.seconds},
                              {"verdict", to_string(one.verdict)},
                              {"detail", one.detail}});
  return bj::object{{"passed", report.failures() == 0},
                    {"rollout", plan.rollout},
                    {"shadow", report.shadow},
                    {"ways", std::move(legs)},
                    {"wal_ratio", report.wal_ratio > 0 ? bj::value(report.wal_ratio) : bj::value(nullptr)},
                    {"notes", bj::array(report.notes.begin(), report.notes.end())}};
}

Colour colour_of(LegVerdict verdict) {
  if (verdict == LegVerdict::kFailed) return Colour::kRed;
  return verdict == LegVerdict::kSkipped ? Colour::kYellow : Colour::kGreen;
}

void print(Context& context, const engine::RehearsalReport& report) {
  Table table({"phase", "where", "direction", Column("seconds", Align::kRight), "verdict"});
  for (const auto& one : report.legs)
    table.add({change::to_string(one.phase), one.at, one.direction, fmt::format("{:.2f}", one.seconds),
               Cell(to_string(one.verdict), colour_of(one.verdict))});
  context.out << table.render(context.paint(), context.width);
  for (const auto& one : report.legs)
    if (!one.detail.empty())
      say(context, fmt::format("\n{}, {}, {}: {}", change::to_string(one.phase), one.at, one.direction,
                               clean(one.detail)));
  for (const auto& note : report.notes) say(context, "\nnote: " + clean(note));
  say(context, fmt::format("\non {}; {}", clean(report.shadow),
                           report.failures() == 0
                               ? context.paint()(Colour::kGreen, "schema and data as expected after each way")
                               : context.paint()(Colour::kRed, "the rehearsal failed")));
}

Result<int> rehearse_all(Context& context, const RehearseArguments& arguments) {
  PL_TRY(const std::string text, read_file(context, arguments.file));
  PL_TRY(const auto spec, rollout::parse_rollout(text, arguments.file));
  PL_TRY(const auto bench, Workbench::open(context, arguments.workbench, spec.database));
  PL_TRY(const auto plan, bench->plan(spec));
  engine::ExecutorPorts ports = bench->ports();
  if (context.terminal && !context.json)
    ports.progress = [&](const engine::Progress& progress) {
      if (progress.rows_total == 0) context.err << "  " << clean(progress.step) << "\n" << std::flush;
    };
  engine::RehearsalOptions options;
  options.each_step = !arguments.phases_only;
  options.budget = arguments.budget;
  PL_TRY(const auto report, engine::rehearse({ports, plan}, options));
  if (context.json) {
    print_json(context, report_json(plan, report));
  } else {
    for (const auto& note : bench->notes()) say(context, "note: " + clean(note));
    print(context, report);
  }
  return report.failures() == 0 ? 0 : 1;
}

}  // namespace

void add_rehearse(CLI::App& app, Context& context) {
  auto a = std::make_shared<RehearseArguments>();
  auto* rehearse = add_verb(app, context, "rehearse",
                            "walk a rollout forward and back from everywhere, on a shadow", [&context, a] {
                              const auto code = rehearse_all(context, *a);
                              return code ? *code : report(context, code.error());
                            });
  rehearse->add_option("file", a->file, "the rollout's file")->required()->type_name(kFile);
  add_workbench(*rehearse, a->workbench);
  rehearse->add_flag("--phases-only", a->phases_only, "not back from the middle of each step of dual_write");
  add_duration(*rehearse, "--budget", a->budget,
               "for the middles of steps; what is left then is skipped, and said to be (default: 5m)");
}

}  // namespace poundlock::cli
