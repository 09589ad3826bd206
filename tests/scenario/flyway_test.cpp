// Both round trips with the real Flyway: it runs what plan wrote, and Poundlock adopts the result; Poundlock
// carries the plan out, and Flyway takes it as run, with no drift against a database that Flyway built.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "migration/sql_plan.h"
#include "postgres/catalog_loader.h"
#include "support/packages.h"
#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kBefore =
    "CREATE TABLE public.orders (id bigint PRIMARY KEY, total int, legacy_status text);"
    "INSERT INTO public.orders SELECT g, g, '50%:x' FROM generate_series(1, 2000) g";
constexpr const char* kMigration =
    "ALTER TABLE orders ADD COLUMN note varchar(20) DEFAULT 'it''s; -- 10% Ä' NOT NULL;\n"
    "CREATE INDEX orders_total ON orders (total);\n"
    "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0);\n"
    "CREATE TABLE notes (id bigint PRIMARY KEY, order_id bigint REFERENCES orders (id));\n";

struct Ran {
  int code = -1;
  std::string output;
};

Ran run(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) return {};
  Ran ran;
  std::array<char, 4096> buffer{};
  while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    ran.output.append(buffer.data(), got);
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return ran;
}

class FlywayTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto packages = java_packages("flyway", POUNDLOCK_SOURCE_DIR "/tests/clients/flyway");
    if (!packages) GTEST_SKIP() << packages.error();
    classes_ = *packages + "/lib/*";
    auto started = PgCluster::start();
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = std::move(*started);
    std::string pattern = (fs::temp_directory_path() / "poundlock_flyway_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::ofstream(folder_ / "m.sql") << kMigration;
    for (const char* name : {"untouched", "tool", "ours"}) {
      sql("app", fmt::format("CREATE DATABASE {}", name));
      sql(name, kBefore);
    }
  }
  void TearDown() override {
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }
  void sql(const std::string& database, const std::string& text) {
    const auto ran = run(fmt::format("/usr/bin/psql -X -v ON_ERROR_STOP=1 -c \"{}\" '{}'", text,
                                     cluster_->conninfo("app", database)));
    EXPECT_EQ(ran.code, 0) << ran.output;
  }
  std::string url(const std::string& database) const {
    return fmt::format("postgresql://app@127.0.0.1:{}/{}", cluster_->port(), database);
  }
  Ran flyway(const std::string& database, const std::string& what) {
    return run(fmt::format("java -cp '{}' " POUNDLOCK_SOURCE_DIR
                           "/tests/clients/flyway/Migrate.java jdbc:postgresql://127.0.0.1:{}/{} app {} {}",
                           classes_, cluster_->port(), database, (folder_ / "db").string(), what));
  }
  Ran poundlock(const std::string& what) {
    return run(fmt::format("cd {} && {}/poundlock {}", folder_.string(), POUNDLOCK_BINARY_DIR, what));
  }
  schema::Catalog load(const std::string& name) {
    const auto session = std::move(*cluster_->database("app", name)->connect());
    return std::move(*postgres::load_catalog(*session));
  }
  std::vector<std::string> drift(const std::string& a, const std::string& b) {
    return schema::difference(load(a), load(b), {.ignore_schemas = {"poundlock"}});
  }

  std::string classes_;
  std::unique_ptr<PgCluster> cluster_;
  fs::path folder_;
  RealClock clock_;
};

TEST_F(FlywayTest, RunsWhatWasWrittenAndTheResultIsAdopted) {
  const Ran wrote = poundlock("plan m.sql --write db --format flyway");
  ASSERT_EQ(wrote.code, 0) << wrote.output;
  EXPECT_EQ(poundlock("plan m.sql --write db --format flyway").code, 4) << "nothing is written over";
  EXPECT_EQ(poundlock("plan m.sql --adopt --database-url " + url("tool")).code, 1) << "nothing is there yet";
  const Ran baseline = flyway("tool", "baseline");
  ASSERT_EQ(baseline.code, 0) << baseline.output;
  const Ran up = flyway("tool", "migrate");
  ASSERT_EQ(up.code, 0) << up.output;
  const Ran adopted = poundlock("plan m.sql --adopt --database-url " + url("tool"));
  EXPECT_EQ(adopted.code, 0) << adopted.output;
  const auto count =
      run(fmt::format("/usr/bin/psql -XAt -c \"SELECT count(*) FROM public.orders WHERE note = "
                      "'it''s; -- 10% Ä'\" '{}'",
                      cluster_->conninfo("app", "tool")));
  EXPECT_EQ(count.output, "2000\n");
}

TEST_F(FlywayTest, TakesAsRunWhatPoundlockCarriedOut) {
  fs::create_directories(folder_ / "db");
  ASSERT_EQ(flyway("ours", "baseline").code, 0);
  const migration::Source source{.file = "m.sql", .sql = kMigration};
  const auto plan = migration::plan_sql(std::span(&source, 1), nullptr);
  ASSERT_TRUE(plan) << plan.error().to_string();
  const auto database = cluster_->database("app", "ours");
  for (const auto& item : plan->plan.items) {
    engine::RunnerOptions options;
    options.rollout = "m";
    engine::StepRunner runner(*database, clock_, options);
    const auto outcome = runner.run(*item.step, engine::Direction::kForward, 1, {});
    ASSERT_TRUE(outcome && !outcome->error) << item.title;
  }
  const Ran recorded =
      poundlock("plan m.sql --adopt --write db --format flyway --database-url " + url("ours"));
  ASSERT_EQ(recorded.code, 0) << recorded.output;
  const Ran valid = flyway("ours", "validate");
  EXPECT_EQ(valid.code, 0) << valid.output;  // every checksum, type and description is as Flyway's own
  const Ran again = flyway("ours", "migrate");
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("executed 0"));
  ASSERT_EQ(flyway("tool", "baseline").code, 0);
  const Ran fresh = flyway("tool", "migrate");
  ASSERT_EQ(fresh.code, 0) << fresh.output;
  EXPECT_THAT(drift("tool", "ours"), IsEmpty()) << "a fresh database built by the tool";
  // A file that was changed behind the row is found by Flyway, as it would find one of its own.
  for (const auto& entry : fs::directory_iterator(folder_ / "db")) {
    if (!entry.path().filename().string().starts_with("V")) continue;
    if (entry.path().extension() != ".sql") continue;
    std::ofstream(entry.path(), std::ios::app) << "SELECT 1;\n";
    break;
  }
  const Ran changed = flyway("ours", "validate");
  EXPECT_NE(changed.code, 0);
  EXPECT_THAT(changed.output, HasSubstr("checksum mismatch"));
}

}  // namespace
}  // namespace poundlock::scenario
