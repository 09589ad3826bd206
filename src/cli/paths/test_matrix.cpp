#include "cli/paths/test_matrix.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <csignal>
#include <filesystem>
#include <functional>

#include "base/xml.h"
#include "cli/paths/flag_states.h"
#include "cli/paths/report.h"
#include "cli/paths/suite.h"
#include "cli/table.h"
#include "cli/text.h"
#include "postgres/database.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
namespace fs = std::filesystem;
using engine::ShadowUse;

enum class Schema { kNone, kBefore, kExpanded, kOpened, kDropped };
const char* to_string(Schema schema) {
  switch (schema) {
    case Schema::kNone: return "";
    case Schema::kBefore: return "before_expand";
    case Schema::kExpanded:
    case Schema::kOpened: return "after_expand";
    case Schema::kDropped: return "after_contract";
  }
  return "";
}

struct MatrixCell {
  FlagState state;
  Schema schema = Schema::kNone;
  SuiteRun run;
};

volatile sig_atomic_t g_stop = 0;

// A folder for flags, overrides and logs, gone with the object.
class Scratch {
 public:
  static Result<std::unique_ptr<Scratch>> make() {
    std::string pattern = (fs::temp_directory_path() / "poundlock_paths_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      return fail(
          user_error("paths.folder", "no folder can be made in " + fs::temp_directory_path().string()));
    return std::unique_ptr<Scratch>(new Scratch(pattern));
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  const fs::path path;

 private:
  explicit Scratch(fs::path folder) : path(std::move(folder)) {}
};

std::string percent_encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// The shadow may be a copy beside the one that was named: its name is asked for, the rest is the named one's.
Result<std::string> url_of(const std::string& near, ports::Session& session) {
  PL_TRY(const auto named, postgres::PgDatabase::create(near));
  PL_TRY(const auto rows, session.run("SELECT pg_catalog.current_database()"));
  const std::string user = named->value("user"), password = named->value("password");
  std::string out = "postgresql://" + percent_encoded(user);
  if (!password.empty()) out += ":" + percent_encoded(password);
  return out + fmt::format("@{}:{}/{}", percent_encoded(named->value("host")), named->value("port"),
                           percent_encoded(rows.rows.at(0).at(0).value_or("")));
}

// The schema as a rollout leaves it, one step after the other.
class Stage {
 public:
  Stage(Workbench& bench, rollout::Plan plan) : bench_(bench), plan_(std::move(plan)) {}

  Status open(const std::string& near) {
    PL_TRY(auto use, ShadowUse::create(bench_.check(plan_)));
    use_ = std::make_unique<ShadowUse>(std::move(use));
    if (use_->info().kept) PL_CHECK(engine::back_on_shadow(bench_.check(plan_), use_->database()));
    PL_TRY(auto session, use_->database().connect());
    PL_TRY(url_, url_of(near, *session));
    return {};
  }
  Status bring_to(Schema wanted) {
    const std::pair<Schema, change::Phase> ways[] = {{Schema::kExpanded, change::Phase::kDualWrite},
                                                     {Schema::kOpened, change::Phase::kExpose},
                                                     {Schema::kDropped, change::Phase::kContract}};
    for (const auto& [schema, phase] : ways) {
      if (is_ >= schema || wanted < schema) continue;
      PL_CHECK(engine::forward_on_shadow(bench_.check(plan_), use_->database(), phase));
      is_ = schema;
    }
    return {};
  }
  Status take_back() {
    return use_->info().kept ? engine::back_on_shadow(bench_.check(plan_), use_->database()) : Status{};
  }
  Status end() { return use_->end(); }
  bool may_drop() const { return !use_->info().kept; }
  const std::string& url() const { return url_; }
  const std::string& description() const { return use_->info().description; }

 private:
  Workbench& bench_;
  const rollout::Plan plan_;
  std::unique_ptr<ShadowUse> use_;
  std::string url_;
  Schema is_ = Schema::kBefore;
};

std::vector<MatrixCell> cells_of(const std::vector<FlagState>& states, bool with_schema, bool may_drop) {
  std::vector<MatrixCell> out;
  for (const auto& state : states) {
    if (!with_schema) {
      out.push_back({state, Schema::kNone, {}});
      continue;
    }
    // The flag is off before the expand and while it runs, and complete before the drop and after it.
    if (state.name == "off") out.push_back({state, Schema::kBefore, {}});
    const bool early = state.name == "off" || state.name == "dualwrite" || state.name == "shadow";
    out.push_back({state, early ? Schema::kExpanded : Schema::kOpened, {}});
    if (state.name == "complete" && may_drop) out.push_back({state, Schema::kDropped, {}});
  }
  return out;
}

std::string title(const MatrixCell& cell) {
  return cell.state.name + (cell.schema == Schema::kNone ? "" : std::string(", ") + to_string(cell.schema));
}

bj::value matrix_json(const std::string& rollout, const MatrixArguments& arguments,
                      const std::vector<MatrixCell>& cells, bool passed) {
  bj::array out;
  for (const auto& one : cells)
    out.push_back(bj::object{
        {"state", one.state.name},
        {"schema", one.schema == Schema::kNone ? bj::value(nullptr) : bj::value(to_string(one.schema))},
        {"passed", one.run.passed()},
        {"exit_code", one.run.exit_code},
        {"timed_out", one.run.timed_out},
        {"seconds", one.run.seconds},
        {"output", clean_lines(one.run.tail)}});
  return bj::object{{"passed", passed},
                    {"rollout", rollout},
                    {"command", bj::array(arguments.command.begin(), arguments.command.end())},
                    {"states", std::move(out)}};
}

std::string matrix_junit(const std::string& rollout, const std::vector<MatrixCell>& cells) {
  std::string cases;
  int failures = 0;
  for (const auto& one : cells) {
    cases += fmt::format("    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"", xml_escaped(rollout),
                         xml_escaped(title(one)), one.run.seconds);
    if (one.run.passed()) {
      cases += "/>\n";
      continue;
    }
    ++failures;
    cases += fmt::format(
        ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
        one.run.timed_out ? std::string("not done in time") : fmt::format("exit code {}", one.run.exit_code),
        xml_escaped(clean_lines(one.run.tail)));
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"poundlock paths test\">\n"
      "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">\n{}  </testsuite>\n</testsuites>\n",
      xml_escaped(rollout), cells.size(), failures, cases);
}

void print_matrix(Context& context, const std::vector<MatrixCell>& cells, bool passed) {
  Table table(
      {"flag", "schema", "suite", Column("seconds", Align::kRight), Column("exit", Align::kRight), "means"});
  for (const auto& one : cells) {
    const bool ok = one.run.passed();
    table.add({one.state.name, to_string(one.schema),
               Cell(one.run.timed_out ? "timed out"
                    : ok              ? "passed"
                                      : "failed",
                    ok ? Colour::kGreen : Colour::kRed),
               fmt::format("{:.1f}", one.run.seconds), fmt::format("{}", one.run.exit_code), one.state.says});
  }
  context.out << table.render(context.paint(), context.width);
  for (const auto& one : cells)
    if (!one.run.passed()) say(context, fmt::format("\n--- {}\n{}", title(one), clean_lines(one.run.tail)));
  say(context, passed ? context.paint()(Colour::kGreen, "the suite passes in every state")
                      : context.paint()(Colour::kRed, "the suite fails in some state"));
}

Status run_cell(Context& context, const MatrixArguments& arguments, const std::string& key,
                const Stage* stage, const fs::path& folder, const std::function<bool()>& stopped,
                MatrixCell& cell) {
  PL_TRY(const auto server, StateServer::start(context.program.parent_path() / "poundlockd", folder,
                                               cell.state.flags, context.clock));
  const fs::path overrides = folder / "override.json";
  PL_CHECK(write_file(context, overrides.string(), cell.state.overrides));
  GroupOptions options{arguments.command, server->variables(), context.directory,
                       (folder / "suite.log").string()};
  options.variables["POUNDLOCK_FLAG_KEY"] = key;
  options.variables["POUNDLOCK_FLAG_STATE"] = cell.state.name;
  options.variables["POUNDLOCK_FLAGS_FILE"] = (folder / "flags.json").string();
  options.variables["POUNDLOCK_OVERRIDE_FILE"] = overrides.string();
  options.variables["POUNDLOCK_SCHEMA_STATE"] = to_string(cell.schema);
  if (stage != nullptr) {
    options.variables["POUNDLOCK_DATABASE_URL"] = stage->url();
    for (const auto& name : arguments.database_variables) options.variables[name] = stage->url();
  }
  PL_TRY(cell.run, run_suite(options, arguments.limit, context.clock, stopped));
  return {};
}

Status run_cells(Context& context, const MatrixArguments& arguments, const std::string& key, Stage* stage,
                 const std::function<bool()>& stopped, std::vector<MatrixCell>& cells) {
  PL_TRY(const auto scratch, Scratch::make());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    MatrixCell& cell = cells[i];
    if (stage != nullptr) PL_CHECK(stage->bring_to(cell.schema));
    PL_CHECK(run_cell(context, arguments, key, stage, scratch->path / fmt::format("{}", i), stopped, cell));
    if (cell.run.stopped)
      return fail(make_error(Disposition::kRetry, "paths.stopped", "stopped in the state " + title(cell)));
    if (context.terminal && !context.json)
      context.err << fmt::format("  {}: {}, {:.1f} s\n", title(cell), cell.run.passed() ? "passed" : "failed",
                                 cell.run.seconds)
                  << std::flush;
  }
  return {};
}

// The first Ctrl-C ends the suite, and then everything is taken away in order.
std::function<bool()> interruption() {
  g_stop = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { g_stop = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int one : {SIGINT, SIGTERM, SIGHUP}) sigaction(one, &action, nullptr);
  return [] { return g_stop != 0; };
}

}  // namespace

Result<int> test_matrix(Context& context, const MatrixArguments& arguments) {
  PL_TRY(const std::string text, read_file(context, arguments.file));
  PL_TRY(auto spec, rollout::parse_rollout(text, arguments.file));
  const std::string name = spec.name, key = spec.flag ? spec.flag->key : "";
  const bool wants_shadow = !arguments.workbench.shadow.empty() || !arguments.workbench.database_url.empty();
  // What a hook makes may be on any server, and the suite has to be told where.
  if (!arguments.workbench.shadow_create.empty())
    return fail(user_error("paths.shadow", "a test suite cannot be led to a shadow that a command makes")
                    .with_hint("give its URL by --shadow"));
  std::unique_ptr<Workbench> bench;
  std::unique_ptr<Stage> stage;
  if (wants_shadow) {
    PL_TRY(bench, Workbench::open(context, arguments.workbench, spec.database));
    PL_TRY(auto plan, bench->plan(spec));
    stage = std::make_unique<Stage>(*bench, std::move(plan));
  }
  PL_TRY(const auto states, flag_states(std::move(spec), arguments.states));
  if (stage)
    PL_CHECK(stage->open(arguments.workbench.shadow.empty() ? arguments.workbench.database_url
                                                            : arguments.workbench.shadow));
  auto cells = cells_of(states, wants_shadow, stage && stage->may_drop());
  const auto stopped = bench ? bench->ports().stopped : interruption();
  const Status ran = run_cells(context, arguments, key, stage.get(), stopped, cells);
  const Status back = stage ? stage->take_back() : Status{};
  const Status gone = stage ? stage->end() : Status{};
  if (!ran) return fail(ports::and_what_stays(ran.error(), gone));
  if (!back) return fail(ports::and_what_stays(back.error(), gone));
  PL_CHECK(gone);
  bool passed = true;
  for (const auto& one : cells) passed = passed && one.run.passed();
  if (context.json) {
    print_json(context, matrix_json(name, arguments, cells, passed));
  } else if (context.output == "junit") {
    context.out << matrix_junit(name, cells) << std::flush;
  } else {
    print_matrix(context, cells, passed);
  }
  return passed ? 0 : 1;
}

}  // namespace poundlock::cli
