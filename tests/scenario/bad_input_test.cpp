// What a person may get wrong, against a live poundlockd: one message with the place or the object and what
// to do, the documented exit code, and nothing changed. Also two starts at once and the additive profile.
#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "support/demo_fixture.h"

namespace poundlock::scenario {
namespace {

// One world for all: none of these may leave anything behind.
class BadInputTest : public DemoFixture {
 protected:
  void SetUp() override {
    auto options = small();
    options.rows = 500;
    options.application = false;
    if (!shared_) {
      start_world(options);
      ASSERT_FALSE(HasFatalFailure());
      shared_ = std::move(world_);
      shared_context_ = std::move(context_);
    }
    world_ = std::move(shared_);
    context_ = std::move(shared_context_);
    before_ = state();
  }
  void TearDown() override {
    shared_ = std::move(world_);
    shared_context_ = std::move(context_);
  }
  static void TearDownTestSuite() {
    shared_.reset();
    shared_context_.reset();
  }

  // Everything that a refused start must leave alone.
  std::string state() {
    auto api = world_->api();
    const auto rollouts = api ? api->get("/v1/rollouts") : Result<bj::object>{};
    return fmt::format("{}\nschema poundlock: {}\n{}", fingerprint(),
                       value("SELECT count(*) FROM pg_namespace WHERE nspname = 'poundlock'"),
                       rollouts ? bj::serialize(*rollouts) : "no answer");
  }
  static std::string with(const std::string& from, const std::string& to) {
    std::string text = small_rollout();
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
  }
  // `said` in this order on standard error.
  void expect_refused(const std::string& text, int code, const std::vector<std::string>& said,
                      const std::string& name = "orders_status_v2") {
    const Said answer = start_rollout(text, name);
    EXPECT_EQ(answer.code, code) << answer.err;
    EXPECT_EQ(answer.out, "");
    for (const auto& part : said) EXPECT_THAT(answer.err, testing::HasSubstr(part));
    EXPECT_EQ(state(), before_);
  }

  static std::unique_ptr<cli::World> shared_;
  static std::unique_ptr<cli::Context> shared_context_;
  std::string before_;
};
std::unique_ptr<cli::World> BadInputTest::shared_;
std::unique_ptr<cli::Context> BadInputTest::shared_context_;

TEST_F(BadInputTest, AnUnknownKeyIsToldWithItsPlaceAndASuggestion) {
  expect_refused(with("windows:", "windowz:"), 2, {"orders_status_v2.yaml:28:1", "windowz", "windows"});
}

TEST_F(BadInputTest, AWrongTypeIsToldWithItsPlace) {
  expect_refused(with("enabled: true", "enabled: perhaps"), 2,
                 {"orders_status_v2.yaml:20:", "enabled", "perhaps"});
}

TEST_F(BadInputTest, HundredAndOnePercentIsRefused) {
  expect_refused(with("steps: [25, 100]", "steps: [25, 101]"), 2, {"orders_status_v2.yaml:23:", "101"});
}

TEST_F(BadInputTest, ADuplicateFlagKeyIsRefused) {
  expect_refused(with("windows:", "  schema_v2_migration:\n    enabled: true\nwindows:"), 2,
                 {"orders_status_v2.yaml:28:3", "schema_v2_migration"});
}

TEST_F(BadInputTest, AFlagKeyThatIsInUseIsRefusedWithItsOwner) {
  const Said set =
      poundlock({"flag", "set", "taken_key", "--definition",
                 R"({"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off"})"});
  ASSERT_EQ(set.code, 0) << set.err;
  expect_refused(with("schema_v2_migration", "taken_key"), 2,
                 {"orders_status_v2.yaml:19:", "taken_key", "a plain flag"});
}

TEST_F(BadInputTest, AMissingTableIsNamed) {
  expect_refused(with("table: orders", "table: ordres"), 2, {"orders_status_v2.yaml:5:", "ordres", "orders"});
}

TEST_F(BadInputTest, AMissingColumnIsNamed) {
  expect_refused(with("from: legacy_status", "from: legacy_state"), 2,
                 {"orders_status_v2.yaml:6:", "legacy_state", "legacy_status"});
}

TEST_F(BadInputTest, AnUpThatDoesNotParseIsToldWithItsPlace) {
  expect_refused(with("up: legacy_status", "up: \"lower(legacy_status\""), 2,
                 {"orders_status_v2.yaml:8:", "up"});
}

TEST_F(BadInputTest, ADatabaseThatIsNotInTheFileIsNamed) {
  expect_refused(with("database: app", "database: apple"), 2, {"apple", "app"});
}

TEST_F(BadInputTest, ATableThatAnotherRoleOwnsIsRefusedWithWhatToGrant) {
  auto super = world_->cluster().database("postgres", "app")->connect();
  ASSERT_TRUE(super);
  ASSERT_TRUE(
      (*super)->run("CREATE TABLE public.foreign_orders (id bigint PRIMARY KEY, legacy_status varchar(32))"));
  before_ = state();
  expect_refused(with("table: orders", "table: foreign_orders"), 2, {"foreign_orders", "owner"});
  EXPECT_TRUE((*super)->run("DROP TABLE public.foreign_orders"));
}

TEST_F(BadInputTest, WithoutAServerTheAnswerSaysHowToStartOne) {
  const std::string file = write_rollout(small_rollout(), "orders_status_v2");
  const Said answer = poundlock({"start", file, "--server", "http://127.0.0.1:1"});
  EXPECT_EQ(answer.code, 3) << answer.err;
  EXPECT_THAT(answer.err, testing::HasSubstr("127.0.0.1:1"));
  EXPECT_THAT(answer.err, testing::HasSubstr("poundlock serve"));
  // Also where no server has ever run, so that there is no token yet.
  const std::string fresh = world_->directory() + "/fresh";
  std::filesystem::create_directories(fresh);
  std::ofstream(fresh + "/poundlock.yaml") << cli::demo_config(1, 1, fresh + "/state");
  const Said first =
      poundlock({"start", file, "--server", "http://127.0.0.1:1", "--config", fresh + "/poundlock.yaml"});
  EXPECT_EQ(first.code, 3) << first.err;
  // A mistake in the file is told even so.
  write_rollout(with("windows:", "windowz:"), "orders_status_v2");
  EXPECT_EQ(poundlock({"start", file, "--server", "http://127.0.0.1:1"}).code, 2);
  EXPECT_EQ(state(), before_);
}

// A second poundlockd whose database is not there.
TEST_F(BadInputTest, ADatabaseThatIsNotThereIsNamedAndNothingStarts) {
  const std::string folder = world_->directory() + "/gone";
  std::filesystem::create_directories(folder + "/state");
  std::string config =
      cli::demo_config(world_->cluster().port(), world_->cluster().replica_port(), folder + "/state");
  for (auto at = config.find("/app\""); at != std::string::npos; at = config.find("/app\"", at))
    config.replace(at, 5, "/gone\"");
  std::ofstream(folder + "/poundlock.yaml") << config;
  cli::ProcessOptions options;
  options.command = {std::string(POUNDLOCK_BINARY_DIR) + "/poundlockd", "--config",
                     folder + "/poundlock.yaml"};
  options.variables = world_->variables();
  options.log = folder + "/log";
  auto server = cli::Process::spawn(options);
  ASSERT_TRUE(server) << server.error().to_string();
  ASSERT_TRUE(wait_for("the second server listens",
                       [&] { return std::filesystem::exists(folder + "/state/server.json"); }));
  const std::string file = write_rollout(small_rollout(), "orders_status_v2");
  const Said answer = poundlock({"start", file, "--config", folder + "/poundlock.yaml"});
  EXPECT_EQ(answer.code, 3) << answer.err;
  EXPECT_THAT(answer.err, testing::HasSubstr("\"gone\" does not exist"));
  const Said listed = poundlock({"status", "--output", "json", "--config", folder + "/poundlock.yaml"});
  EXPECT_THAT(listed.out, testing::HasSubstr("\"rollouts\":[]"));
  server->stop(clock_, Millis{5'000});
  EXPECT_EQ(state(), before_);
}

struct Running {
  FILE* pipe = nullptr;
  int code = -1;
  std::string text;

  void finish() {
    std::array<char, 4096> buffer{};
    while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe))
      text.append(buffer.data(), got);
    const int status = ::pclose(pipe);
    code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
};

// The order of the tests below matters to nobody: each has a rollout name of its own, and before_ is made
// anew.
TEST_F(BadInputTest, OfTwoStartsAtOnceOneWinsAndTheOtherIsToldOfTheConflict) {
  const std::string file = write_rollout(
      "rollout: twice\ndatabase: app\nchange:\n  - create_index: {table: orders, name: idx_twice, "
      "columns: [customer]}\n",
      "twice");
  const std::string command =
      fmt::format("cd / && {}/poundlock start {} --server {} --token-file {}/state/admin-token 2>&1",
                  POUNDLOCK_BINARY_DIR, file, world_->url(), world_->directory());
  std::array<Running, 2> both;
  for (auto& one : both) one.pipe = ::popen(command.c_str(), "r");
  for (auto& one : both) {
    ASSERT_NE(one.pipe, nullptr);
    one.finish();
  }
  const auto& winner = both[0].code == 0 ? both[0] : both[1];
  const auto& loser = both[0].code == 0 ? both[1] : both[0];
  EXPECT_EQ(winner.code, 0) << winner.text;
  EXPECT_EQ(loser.code, 4) << loser.text;
  EXPECT_THAT(loser.text, testing::HasSubstr("twice"));
  EXPECT_THAT(loser.text, testing::HasSubstr("poundlock status twice"));
  EXPECT_TRUE(wait_for("the winner's rollout is done",
                       [&] { return cli::text_at(view("twice"), "mode") == "done"; }));
  EXPECT_EQ(value("SELECT count(*) FROM poundlock.ledger WHERE rollout = 'twice'"), "1");
}

// From the moment at which a start is answered its flag is there, and nobody else can have the key.
TEST_F(BadInputTest, TheFlagIsThereWhenAStartAnswersAndItsKeyIsTaken) {
  ASSERT_EQ(start_rollout(small_rollout()).code, 0);
  const Said asked = poundlock({"flag", "eval", "schema_v2_migration", "--targeting-key", "customer-1"});
  EXPECT_EQ(asked.code, 0) << asked.err;
  EXPECT_THAT(asked.out, testing::HasSubstr("false"));
  const Said second = start_rollout(with("orders_status_v2", "another"), "another");
  EXPECT_EQ(second.code, 2) << second.err;
  EXPECT_THAT(second.err, testing::HasSubstr("taken by the rollout orders_status_v2"));
  EXPECT_EQ(poundlock({"abort", "orders_status_v2"}).code, 0);
  EXPECT_TRUE(
      wait_for("it is aborted", [&] { return cli::text_at(view("orders_status_v2"), "mode") == "aborted"; }));
}

// Reading the catalog takes a lock on each table. Whoever holds one in the way holds up no order to others.
TEST_F(BadInputTest, StartsThatWaitForALockHoldUpNoKill) {
  const auto text = [](const std::string& name) {
    return fmt::format(
        "rollout: {0}\ndatabase: app\nchange:\n  - create_index: {{table: orders, name: idx_{0}, columns: "
        "[customer]}}\n",
        name);
  };
  ASSERT_EQ(start_rollout(text("other"), "other").code, 0);
  ASSERT_TRUE(wait_for("it is done", [&] { return cli::text_at(view("other"), "mode") == "done"; }));
  auto holder = world_->owner();
  ASSERT_TRUE(holder);
  ASSERT_TRUE((*holder)->run("BEGIN"));
  ASSERT_TRUE((*holder)->run("LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE"));
  std::array<Running, 4> starts;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::string name = fmt::format("stuck_{}", i);
    starts[i].pipe = ::popen(
        fmt::format("cd / && {}/poundlock start {} --server {} --token-file {}/state/admin-token 2>&1",
                    POUNDLOCK_BINARY_DIR, write_rollout(text(name), name), world_->url(), world_->directory())
            .c_str(),
        "r");
    ASSERT_NE(starts[i].pipe, nullptr);
  }
  ASSERT_TRUE(wait_for("a start waits for the lock", [&] {
    return value(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'poundlock%'"
               " AND wait_event_type = 'Lock'") != "0";
  }));
  const TimePoint asked = clock_.steady();
  const Said said = poundlock({"rollback", "other", "--why", "it hurts"});
  EXPECT_LT(clock_.steady() - asked, Millis{1'500}) << said.err;
  EXPECT_NE(said.code, 3) << said.err;
  for (auto& one : starts) {
    one.finish();
    EXPECT_EQ(one.code, 3) << one.text;
    EXPECT_THAT(one.text, testing::HasSubstr("lock timeout"));
  }
  EXPECT_TRUE((*holder)->run("ROLLBACK"));
}

TEST_F(BadInputTest, AnAdditiveRolloutNeedsNeitherFlagNorApplication) {
  const std::string file = write_rollout(
      "rollout: note\ndatabase: app\nprofile: additive\nchange:\n"
      "  - add_column: {table: orders, column: {name: note, type: text}}\n"
      "  - create_index: {table: orders, name: idx_orders_customer, columns: [customer]}\n",
      "note");
  const Said said = poundlock({"start", file, "--wait", "--limit", "4m"});
  EXPECT_EQ(said.code, 0) << said.out << said.err;
  EXPECT_EQ(
      value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.idx_orders_customer'::regclass"),
      "t");
  const auto column = world_->column_exists("note");
  ASSERT_TRUE(column);
  EXPECT_TRUE(*column);
  const auto seen = view("note");
  EXPECT_EQ(cli::text_at(cli::object_at(seen, "flag"), "key"), "");
  EXPECT_EQ(cli::text_at(seen, "mode"), "done");
}

// `up` is tried on the shadow's rows first: the rollout ends before production is touched, and says why.
TEST_F(BadInputTest, AnUpThatFailsOnARowIsToldBeforeProductionIsTouched) {
  ASSERT_EQ(query("UPDATE public.orders SET legacy_status = 'zero' WHERE id = 7 RETURNING id").size(), 1U);
  const std::string before = fingerprint();
  std::string text = with("rollout: orders_status_v2", "rollout: failing");
  const auto at = text.find("up: legacy_status");
  text.replace(at, 17, "up: (1 / (legacy_status <> 'zero')::int)::text");
  text.replace(text.find("schema_v2_migration"), 19, "failing_key");
  const Said started = start_rollout(text, "failing");
  if (started.code == 0) {
    EXPECT_TRUE(wait_for("the rollout has stopped", [&] {
      const std::string mode = cli::text_at(view("failing"), "mode");
      return mode == "rolled_back" || mode == "paused";
    }));
    const auto seen = view("failing");
    EXPECT_THAT(bj::serialize(seen), testing::HasSubstr("division by zero"));
    EXPECT_EQ(cli::text_at(seen, "phase"), "prepare");
  } else {
    EXPECT_THAT(started.err, testing::HasSubstr("division by zero"));
  }
  EXPECT_EQ(fingerprint(), before);
}

}  // namespace
}  // namespace poundlock::scenario
