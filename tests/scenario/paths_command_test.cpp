// `poundlock paths`, `paths test` and `rehearse` as they are typed, against a shadow that is given: what they
// print, their exit codes, and that nothing of theirs stays.
#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "poundlock/client.h"
#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kRollout = R"(rollout: status
change:
  - change_column:
      table: public.orders
      from: legacy_status
      to: {name: new_status, type: text, default: "'open'"}
      up: legacy_status
      down: new_status
      indexes: [{name: idx_new_status, columns: [new_status]}]
paths:
  - name: by_status
    legacy: SELECT id FROM orders WHERE legacy_status = $1
    new: SELECT id FROM orders WHERE new_status = $1
  - name: place
    legacy: INSERT INTO orders (id, legacy_status) VALUES ($1, $2)
    new: INSERT INTO orders (id, new_status) VALUES ($1, $2)
feature_flags:
  new_side:
    enabled: true
    rollout_strategy: percentage
    steps: [50, 100]
    increment_interval: 15m
    targeting_rules:
      - {context: "internal", percentage: 100}
      - {context: "batch", enabled: false}
)";

// Asks over OFREP which side an internal user is on, and fails where that is the new one before everybody is.
constexpr const char* kSuite = R"(import json, os, sys, urllib.request
def side(context):
    body = json.dumps({"context": {"targetingKey": "u1", "context": context}}).encode()
    url = os.environ["OFREP_ENDPOINT"] + "/ofrep/v1/evaluate/flags/" + os.environ["POUNDLOCK_FLAG_KEY"]
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=10))["value"]
seen = [side(context) for context in ("internal", "public", "batch")]
print(os.environ["POUNDLOCK_FLAG_STATE"], seen)
sys.exit(7 if seen == [True, False, False] else 0)
)";

class PathsCommandTest : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    for (const char* name : {"given", "given_poundlock_copy"})
      must(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", name));
    must("CREATE DATABASE given");
    must("COMMENT ON DATABASE given IS 'poundlock.shadow = on'");
    auto inside = std::move(*database_->sibling("given")->connect());
    must_on(*inside,
            "CREATE TABLE public.orders (id bigint PRIMARY KEY, legacy_status text NOT NULL DEFAULT 'open')");
    must_on(*inside, "CREATE INDEX idx_legacy ON public.orders (legacy_status)");
    must_on(*inside, "INSERT INTO public.orders SELECT g, 'S' || g % 50 FROM generate_series(1, 2000) g");
    std::string pattern = (fs::temp_directory_path() / "poundlock_paths_test_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::ofstream(folder_ / "rollout.yaml") << kRollout;
    std::ofstream(folder_ / "suite.py") << kSuite;
    url_ = fmt::format("postgresql://app@127.0.0.1:{}/given", cluster_->port());
    databases_ = row("SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database");
  }
  void TearDown() override {
    fs::remove_all(folder_);
    EXPECT_EQ(row("SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database"), databases_);
    auto inside = std::move(*database_->sibling("given")->connect());
    EXPECT_EQ(must_on(*inside,
                      "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = "
                      "'public.orders'::regclass AND attnum > 0 AND NOT attisdropped")
                  .rows[0][0],
              "id,legacy_status");
    inside.reset();
    RolloutFixture::TearDown();
  }

  struct Said {
    int code = -1;
    std::string out;
    json::Object document;
  };
  // Standard output and the exit code of `poundlock ARGUMENTS`, run by a shell in the test's folder.
  Said poundlock(const std::string& arguments) {
    const std::string command = fmt::format("cd {} && {}/poundlock {} 2>err.txt </dev/null", folder_.string(),
                                            POUNDLOCK_BINARY_DIR, arguments);
    Said said;
    FILE* pipe = ::popen(command.c_str(), "r");
    char buffer[4096];
    while (const auto got = std::fread(buffer, 1, sizeof buffer, pipe)) said.out.append(buffer, got);
    const int status = ::pclose(pipe);
    said.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    if (const auto value = json::parse(said.out, "output", json::kOwnLimits); value && value->is_object())
      said.document = value->get_object();
    std::ifstream errors(folder_ / "err.txt");
    said.out.append(std::istreambuf_iterator<char>(errors), {});
    return said;
  }
  // "off after_expand ok; live.all after_expand 7"
  static std::string states(const Said& said) {
    std::string out;
    const auto* list = said.document.if_contains("states");
    if (list == nullptr || !list->is_array()) return "none: " + said.out;
    for (const auto& value : list->get_array()) {
      const auto& one = value.as_object();
      const auto* schema = one.if_contains("schema");
      out += (out.empty() ? "" : "; ") + json::get_string(one, "state").value_or("") +
             (schema->is_string() ? " " + std::string(schema->get_string()) : "") +
             (json::get_bool(one, "passed").value_or(false)
                  ? " ok"
                  : fmt::format(" {}", json::get_int(one, "exit_code").value_or(-1)));
    }
    return out;
  }

  fs::path folder_;
  std::string url_, databases_;
};

TEST_F(PathsCommandTest, ProvesTheStatementsOnAGivenShadow) {
  const auto json = poundlock(fmt::format("paths rollout.yaml --shadow '{}' --output json", url_));
  EXPECT_EQ(json.code, 0) << json.out;
  EXPECT_TRUE(json::get_bool(json.document, "passed").value_or(false)) << json.out;
  EXPECT_EQ((*json::get_array(json.document, "statements"))->size(), 4U);
  const auto text = poundlock(fmt::format("paths rollout.yaml --shadow '{}'", url_));
  EXPECT_EQ(text.code, 0) << text.out;
  EXPECT_THAT(text.out, HasSubstr("2 paths are alike"));
  std::string one = kRollout;
  const auto second = one.find("  - name: ", one.find("  - name: ") + 1);
  ASSERT_NE(second, std::string::npos);
  std::ofstream(folder_ / "one.yaml") << one.erase(second, one.find("\nfeature_flags", second) + 1 - second);
  EXPECT_THAT(poundlock(fmt::format("paths one.yaml --shadow '{}'", url_)).out, HasSubstr("1 path is alike"));
  std::string other = kRollout;
  other.replace(other.find("WHERE new_status = $1"), 21, "WHERE new_status > $1");
  std::ofstream(folder_ / "rollout.yaml") << other;
  const auto wrong = poundlock(fmt::format("paths rollout.yaml --shadow '{}' --output junit", url_));
  EXPECT_EQ(wrong.code, 1) << wrong.out;
  EXPECT_THAT(wrong.out, HasSubstr("rows_differ (both): legacy gives"));
  EXPECT_THAT(wrong.out, HasSubstr("tests=\"2\" failures=\"1\""));
}

TEST_F(PathsCommandTest, WhatCannotBeDoneIsSaidWithAnExitCode) {
  EXPECT_EQ(poundlock("paths").code, 2);
  const auto nothing = poundlock("paths rollout.yaml");
  EXPECT_EQ(nothing.code, 2) << nothing.out;
  EXPECT_THAT(nothing.out, HasSubstr("--shadow URL"));
  must("COMMENT ON DATABASE given IS NULL");
  const auto unmarked = poundlock(fmt::format("rehearse rollout.yaml --shadow '{}'", url_));
  EXPECT_EQ(unmarked.code, 1) << unmarked.out;
  EXPECT_THAT(unmarked.out, HasSubstr("does not bear the mark of a shadow"));
  const auto missing = poundlock("paths test rollout.yaml -- no-such-program");
  EXPECT_EQ(missing.code, 2) << missing.out;
  EXPECT_THAT(missing.out, HasSubstr("no-such-program cannot be started"));
  EXPECT_THAT(poundlock("paths test rollout.yaml --state lve -- true").out, HasSubstr("its states are off"));
}

TEST_F(PathsCommandTest, RehearsesOnACopyAndPrintsEachWay) {
  const auto json = poundlock(fmt::format("rehearse rollout.yaml --shadow '{}' --output json", url_));
  EXPECT_EQ(json.code, 0) << json.out;
  bool restored = false;
  for (const auto& value : **json::get_array(json.document, "ways"))
    restored = restored || value.as_object().at("direction") == "restore";
  EXPECT_TRUE(restored) << json.out;
  const auto kept =
      poundlock(fmt::format("rehearse rollout.yaml --phases-only --in-place --shadow '{}'", url_));
  EXPECT_EQ(kept.code, 0) << kept.out;
  EXPECT_THAT(kept.out, HasSubstr("skipped"));
  EXPECT_THAT(kept.out, HasSubstr("on a copy of it the drop is rehearsed"));
}

TEST_F(PathsCommandTest, RunsASuiteOverOfrepInEveryStateAndNamesTheOneThatFails) {
  const auto said = poundlock("paths test rollout.yaml --output json -- python3 suite.py");
  EXPECT_EQ(said.code, 1) << said.out;
  EXPECT_EQ(states(said),
            "off ok; dualwrite ok; live.internal 7; live.all ok; live.released ok; rampdown ok; complete ok");
  EXPECT_THAT(said.out, HasSubstr("live.all [True, True, False]"));
  EXPECT_THAT(said.out, HasSubstr("live.released [True, True, True]"));
}

TEST_F(PathsCommandTest, BringsTheSchemaToWhereEachStateFindsIt) {
  // The legacy statement, as a build without flag has it: it must work until the drop.
  std::ofstream(folder_ / "suite.sh")
      << "psql -qAt \"$DATABASE_URL\" -c 'SELECT count(legacy_status) FROM public.orders' || exit 5\n";
  const auto said = poundlock(fmt::format(
      "paths test rollout.yaml --shadow '{}' --database-variable DATABASE_URL --output json -- sh suite.sh",
      url_));
  EXPECT_EQ(said.code, 1) << said.out;
  EXPECT_EQ(
      states(said),
      "off before_expand ok; off after_expand ok; dualwrite after_expand ok; live.internal after_expand ok; "
      "live.all after_expand ok; live.released after_expand ok; rampdown after_expand ok; complete "
      "after_expand ok; complete after_contract 5");
}

TEST_F(PathsCommandTest, ASuiteThatHangsIsKilledWithAllThatItStarted) {
  std::ofstream(folder_ / "hang.sh") << "sleep 600 &\necho $! >child.pid\nwait\n";
  const auto said = poundlock("paths test rollout.yaml --state off --limit 1s --output json -- sh hang.sh");
  EXPECT_EQ(said.code, 1) << said.out;
  EXPECT_THAT(said.out, HasSubstr("\"timed_out\":true"));
  int child = 0;
  std::ifstream(folder_ / "child.pid") >> child;
  ASSERT_GT(child, 0);
  const std::string stat = fmt::format("/proc/{}/stat", child);
  std::string state = "gone";
  if (std::ifstream in(stat); in) {
    std::string pid, name;
    in >> pid >> name >> state;
  }
  EXPECT_TRUE(state == "gone" || state == "Z") << state;
}

// Run as the suite of the test below, by its own program: an application of the C++ client's.
TEST(Consumer, IsOnTheLegacySide) {
  const char* file = std::getenv("POUNDLOCK_OVERRIDE_FILE");
  const char* state = std::getenv("POUNDLOCK_FLAG_STATE");
  if (file == nullptr || state == nullptr) GTEST_SKIP() << "run by `poundlock paths test`";
  ClientOptions options;
  options.override_file = file;
  const auto client = Client::create(options);
  const bool is_new = client.bool_value("new_side", false, Context());
  EXPECT_EQ(client.string_value("new_side.stage", "none", Context()), state);
  EXPECT_FALSE(is_new);
}

TEST_F(PathsCommandTest, RunsASuiteWithTheOverrideFileOfTheCppClient) {
  // Without GTEST_OUTPUT, or the failure that is wanted here would be counted among the run's reports.
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const auto said =
      poundlock(fmt::format("paths test rollout.yaml --state off --state dualwrite --state shadow --state "
                            "rampdown --output json -- env -u GTEST_OUTPUT {} "
                            "--gtest_filter=Consumer.*",
                            self));
  EXPECT_EQ(said.code, 1) << said.out;
  EXPECT_EQ(states(said), "off ok; dualwrite ok; shadow ok; rampdown 1") << said.out;
}

}  // namespace
}  // namespace poundlock::scenario
