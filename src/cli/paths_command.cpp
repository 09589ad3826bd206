// paths: are the application's two ways alike? On a shadow by their statements, and by the team's own test
// suite in each state of the flag.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/bar.h"
#include "cli/commands.h"
#include "cli/paths/report.h"
#include "cli/paths/test_matrix.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "cli/workbench.h"
#include "engine/checks/paths.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

struct PathsArguments {
  std::string file;
  WorkbenchArguments workbench;
  engine::PathOptions options;
  bool test = false;
  MatrixArguments matrix;
};

Result<int> prove(Context& context, const PathsArguments& arguments) {
  PL_TRY(const std::string text, read_file(context, arguments.file));
  PL_TRY(const auto spec, rollout::parse_rollout(text, arguments.file));
  if (spec.paths.empty())
    return fail(user_error("paths.none",
                           fmt::format("{} names no statements of the application", clean(arguments.file)))
                    .with_hint("paths: [{name: by_id, legacy: SELECT ..., new: SELECT ...}]"));
  PL_TRY(const auto bench, Workbench::open(context, arguments.workbench, spec.database));
  PL_TRY(const auto plan, bench->plan(spec));
  PL_TRY(const auto report, engine::prove_paths(bench->check(plan), arguments.options));
  if (context.json) {
    print_json(context, paths_json(plan, report));
  } else if (context.output == "junit") {
    context.out << paths_junit(plan, report) << std::flush;
  } else {
    for (const auto& note : bench->notes()) say(context, "note: " + clean(note));
    print_paths(context, plan, report);
  }
  return report.errors() == 0 ? 0 : 1;
}

Result<int> run(Context& context, const PathsArguments& arguments) {
  if (arguments.test) return test_matrix(context, arguments.matrix);
  if (arguments.file.empty())
    return fail(user_error("usage", "file is required").with_hint("`poundlock paths --help`"));
  return prove(context, arguments);
}

void add_test(CLI::App& paths, const std::shared_ptr<PathsArguments>& a) {
  MatrixArguments& m = a->matrix;
  auto* test =
      paths.add_subcommand("test", "run a test suite in each flag state that the rollout passes through");
  test->callback([a] { a->test = true; });
  test->add_option("file", m.file, "the rollout's file")->required()->type_name(kFile);
  test->add_option("command", m.command, "the test suite, behind --")->required();
  add_workbench(*test, m.workbench);
  add_each(*test, "--state", m.states,
           "only this flag state; several times (shadow runs only where it is named)");
  add_each(*test, "--database-variable", m.database_variables,
           "also put the shadow's URL into this variable, such as DATABASE_URL");
  add_duration(*test, "--limit", m.limit, "longest run of the suite in one state (default: 10m)");
}

}  // namespace

void add_paths(CLI::App& app, Context& context) {
  auto a = std::make_shared<PathsArguments>();
  auto* paths = add_verb(app, context, "paths", "prove on a shadow that the application's two ways are alike",
                         [&context, a] {
                           const auto code = run(context, *a);
                           return code ? *code : report(context, code.error());
                         },
                         {"junit"});
  paths->add_option("file", a->file, "the rollout's file")->type_name(kFile);
  add_workbench(*paths, a->workbench);
  paths->add_option("--samples", a->options.samples, "rows of parameters for each reading path (default: 20)")
      ->check(CLI::Range(1, 10'000));
  paths
      ->add_option("--cost-factor", a->options.cost_factor,
                   "a new statement may cost so many times as much (default: 2)")
      ->check(CLI::Range(1.0, 1e6));
  paths
      ->add_option("--large-rows", a->options.large_rows,
                   "from so many rows on a table may not be scanned as a whole (default: 10000)")
      ->check(CLI::Range(0.0, 1e12));
  add_test(*paths, a);
}

}  // namespace poundlock::cli
