#include "support/migration_tool.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <span>

#include "engine/step_runner.h"
#include "migration/sql_plan.h"
#include "postgres/catalog_loader.h"
#include "telemetry/system_clock.h"

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
constexpr const char* kBefore =
    "CREATE TABLE public.orders (id bigint PRIMARY KEY, total int, legacy_status text);"
    "INSERT INTO public.orders SELECT g, g, '50%:x' FROM generate_series(1, 2000) g";

}  // namespace

ToolRan run_shell(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) return {};
  ToolRan ran;
  std::array<char, 4096> buffer{};
  while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    ran.output.append(buffer.data(), got);
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return ran;
}

void MigrationToolTest::start(const std::string& name, const std::string& migration) {
  migration_ = migration;
  auto started = PgCluster::start();
  ASSERT_TRUE(started) << started.error().to_string();
  cluster_ = std::move(*started);
  std::string pattern = (fs::temp_directory_path() / ("poundlock_" + name + "_XXXXXX")).string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  std::ofstream(folder_ / "m.sql") << migration;
  for (const char* database : {kUntouched, kTool, kOurs}) {
    sql("app", fmt::format("CREATE DATABASE {}", database));
    sql(database, kBefore);
  }
}

void MigrationToolTest::TearDown() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

void MigrationToolTest::sql(const std::string& database, const std::string& text) {
  const auto ran = run_shell(fmt::format("/usr/bin/psql -X -v ON_ERROR_STOP=1 -c \"{}\" '{}'", text,
                                         cluster_->conninfo("app", database)));
  EXPECT_EQ(ran.code, 0) << ran.output;
}

std::string MigrationToolTest::cell(const std::string& database, const std::string& query) {
  auto out =
      run_shell(fmt::format("/usr/bin/psql -XAt -c \"{}\" '{}'", query, cluster_->conninfo("app", database)));
  if (out.output.ends_with('\n')) out.output.pop_back();
  return out.output;
}

std::string MigrationToolTest::url(const std::string& database) const {
  return fmt::format("postgresql://app@127.0.0.1:{}/{}", cluster_->port(), database);
}

ToolRan MigrationToolTest::poundlock(const std::string& arguments) {
  return run_shell(
      fmt::format("cd {} && {}/poundlock {}", folder_.string(), POUNDLOCK_BINARY_DIR, arguments));
}

void MigrationToolTest::the_tool_runs_what_was_written(const ToolWords& words, const std::string& note) {
  const ToolRan wrote = poundlock("plan m.sql " + words.write);
  ASSERT_EQ(wrote.code, 0) << wrote.output;
  if (!words.named_by_time) {
    EXPECT_EQ(poundlock("plan m.sql " + words.write).code, 4) << "nothing is written over";
  }
  const std::string adopt = "plan m.sql --adopt --database-url " + url(kTool);
  EXPECT_EQ(poundlock(adopt).code, 1) << "nothing is there yet";
  const ToolRan begun = tool(kTool, words.begin);
  ASSERT_EQ(begun.code, 0) << begun.output;
  const ToolRan up = tool(kTool, words.up);
  ASSERT_EQ(up.code, 0) << up.output;
  const ToolRan adopted = poundlock(adopt);
  EXPECT_EQ(adopted.code, 0) << adopted.output;
  EXPECT_EQ(cell(kTool, "SELECT count(*) FROM public.orders WHERE note = " + note), "2000");
  if (words.down.empty()) return;
  const ToolRan down = tool(kTool, words.down);
  ASSERT_EQ(down.code, 0) << down.output;
  sql(kTool, "DROP TABLE " + words.history);
  EXPECT_THAT(drift(kUntouched, kTool), testing::IsEmpty()) << "taken back by the tool";
}

void MigrationToolTest::the_tool_takes_as_run_what_was_carried_out(const ToolWords& words) {
  for (const char* database : {kOurs, kTool}) {
    const ToolRan begun = tool(database, words.begin);
    ASSERT_EQ(begun.code, 0) << begun.output;
  }
  carry_out(kOurs);
  if (HasFatalFailure()) return;
  const ToolRan recorded = poundlock("plan m.sql --adopt " + words.write + " --database-url " + url(kOurs));
  ASSERT_EQ(recorded.code, 0) << recorded.output;
  const ToolRan again = tool(kOurs, words.up);
  EXPECT_EQ(again.code, 0) << again.output;
  const ToolRan fresh = tool(kTool, words.up);
  ASSERT_EQ(fresh.code, 0) << fresh.output;
  EXPECT_THAT(drift(kTool, kOurs), testing::IsEmpty()) << "a fresh database built by the tool";
}

void MigrationToolTest::carry_out(const std::string& database) {
  const migration::Source source{.file = "m.sql", .sql = migration_};
  const auto plan = migration::plan_sql(std::span(&source, 1), nullptr);
  ASSERT_TRUE(plan) << plan.error().to_string();
  const auto target = cluster_->database("app", database);
  telemetry::SystemClock clock;
  for (const auto& item : plan->plan.items) {
    engine::RunnerOptions options;
    options.rollout = "m";
    engine::StepRunner runner(*target, clock, options);
    const auto outcome = runner.run(*item.step, engine::Direction::kForward, 1, {});
    ASSERT_TRUE(outcome && !outcome->error) << item.title;
  }
}

std::vector<std::string> MigrationToolTest::drift(const std::string& a, const std::string& b) {
  const auto load = [&](const std::string& name) {
    const auto session = std::move(*cluster_->database("app", name)->connect());
    return std::move(*postgres::load_catalog(*session));
  };
  return schema::difference(load(a), load(b), {.ignore_schemas = {"poundlock"}});
}

}  // namespace poundlock::scenario
