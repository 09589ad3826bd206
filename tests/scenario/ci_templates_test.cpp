// What continuous integration gets: the pre-commit hooks under the real pre-commit, and the shell steps of
// the GitHub Action and the GitLab jobs, taken out of their YAML and run as those services run them.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "base/yaml.h"
#include "cli/run_for_test.h"
#include "support/packages.h"
#include "support/pg_cluster.h"

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using Variables = std::map<std::string, std::string>;

const std::string kTop = POUNDLOCK_SOURCE_DIR;
const std::string kBad = "TRUNCATE orders;\n";
const std::string kGood = "SELECT 1;\n";

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

yaml::Node parsed(const std::string& file) {
  const auto root = yaml::parse(text_of(kTop + "/" + file), file);
  EXPECT_TRUE(root) << root.error().to_string();
  return root ? *root : yaml::Node{};
}

const yaml::Node& at(const yaml::Node& node, std::string_view key) {
  static const yaml::Node kNone;
  const yaml::Node* found = node.find(key);
  EXPECT_NE(found, nullptr) << key;
  return found == nullptr ? kNone : *found;
}

struct Ran {
  int code = -1;
  std::string output;
};

class CiTest : public cli::CommandLineTest {
 protected:
  Ran shell(const std::string& command, const Variables& variables = {}) {
    std::string line = "cd " + quoted(folder_.string()) + " && env PATH=" + quoted(POUNDLOCK_BINARY_DIR) +
                       ":\"$PATH\" HOME=" + quoted(folder_.string());
    for (const auto& [name, value] : variables) line += " " + name + "=" + quoted(value);
    FILE* pipe = ::popen((line + " " + command + " 2>&1 </dev/null").c_str(), "r");
    if (!pipe) return {};
    Ran ran;
    std::array<char, 4096> buffer{};
    while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe))
      ran.output.append(buffer.data(), got);
    const int status = ::pclose(pipe);
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return ran;
  }
  static std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
  }

  // A composite action's steps with these inputs, each by bash as GitHub starts it; stops at the first
  // failure.
  Ran act(Variables inputs) {
    const yaml::Node action = parsed("action.yml");
    for (const auto& [name, input] : at(action, "inputs").entries) {
      const yaml::Node* value = input.find("default");
      if (value != nullptr) inputs.emplace(name.scalar, value->scalar);
      EXPECT_TRUE(value != nullptr || at(input, "required").scalar == "true") << name.scalar;
    }
    Ran all{.code = 0, .output = ""};
    for (const yaml::Node& step : at(at(action, "runs"), "steps").items) {
      if (const yaml::Node* condition = step.find("if")) {
        std::smatch match;
        const std::string text = condition->scalar;
        const bool known = std::regex_match(text, match, std::regex("inputs\\.([a-z-]+) != ''"));
        EXPECT_TRUE(known) << text;
        if (known && inputs[match[1]].empty()) continue;
      }
      Variables variables;
      for (const auto& [name, value] : at(step, "env").entries) {
        std::smatch match;
        const std::string text = value.scalar;
        EXPECT_TRUE(std::regex_match(text, match, std::regex("\\$\\{\\{ inputs\\.([a-z-]+) \\}\\}"))) << text;
        EXPECT_TRUE(inputs.contains(match[1])) << text;
        variables[name.scalar] = inputs[match[1]];
      }
      EXPECT_EQ(at(step, "shell").scalar, "bash");
      // An input within the script would be run as code.
      EXPECT_THAT(at(step, "run").scalar, Not(HasSubstr("${{")));
      write("step.sh", at(step, "run").scalar);
      const Ran ran = shell("bash --noprofile --norc -eo pipefail step.sh", variables);
      all.output += ran.output;
      all.code = ran.code;
      if (ran.code != 0) break;
    }
    return all;
  }

  // A job's script, as GitLab's runner writes it: one line after the other, ended by the first failure.
  Ran job(const std::string& name, Variables variables) {
    const yaml::Node file = parsed("ci/gitlab/poundlock.yml");
    const yaml::Node& node = at(file, name);
    for (const auto& [key, value] : at(node, "variables").entries)
      variables.emplace(key.scalar, value.scalar);
    std::string script;
    for (const yaml::Node& line : at(node, "script").items) script += line.scalar + "\n";
    write("job.sh", script);
    return shell("bash -eo pipefail job.sh", variables);
  }

  bool has_dry_run() {
    return shell("poundlock dry-run --help").output.find("--shadow") != std::string::npos;
  }
};

TEST_F(CiTest, TheActionAnnotatesAndFailsTheJob) {
  write("db/my file.sql", kBad);
  write("db/good.sql", kGood);
  const Ran bad = act({{"files", "db/good.sql\n\n  \ndb/my file.sql\n"}, {"sarif", "out.sarif"}});
  EXPECT_EQ(bad.code, 1) << bad.output;
  EXPECT_THAT(bad.output, HasSubstr("::error file=db/my file.sql,line=1,"));
  EXPECT_THAT(read("out.sarif"), HasSubstr("\"version\":\"2.1.0\""));
  const Ran good = act({{"files", "db/good.sql"}});
  EXPECT_EQ(good.code, 0) << good.output;
  EXPECT_EQ(act({{"files", "db/none.sql"}, {"sarif", "out.sarif"}}).code, 2);
  EXPECT_EQ(act({{"files", "$(touch broken); db/good.sql"}}).code, 2);
  EXPECT_FALSE(fs::exists(folder_ / "broken"));
}

TEST_F(CiTest, TheGitlabJobLeavesItsReportAndFails) {
  write("migrations/bad.sql", kBad);
  const Ran bad = job(".poundlock-lint", {});
  EXPECT_EQ(bad.code, 1) << bad.output;
  EXPECT_THAT(bad.output, HasSubstr("migrations/bad.sql:1:"));
  EXPECT_THAT(read("poundlock-lint.xml"), HasSubstr("<failure type=\"error\""));
  write("ok/good.sql", kGood);
  const Ran good = job(".poundlock-lint", {{"POUNDLOCK_FILES", "ok"}});
  EXPECT_EQ(good.code, 0) << good.output;
  EXPECT_EQ(job(".poundlock-lint", {{"POUNDLOCK_FILES", "nowhere"}}).code, 2);
}

// A team with history: what has run long ago fails nobody's pull request.
TEST_F(CiTest, OnlyWhatABranchAddsIsLinted) {
  const std::string git =
      "git -c user.name=t -c user.email=t@example.com -c init.defaultBranch=main -c core.autocrlf=false ";
  const auto must = [&](const std::string& command) {
    const Ran ran = shell("sh -c " + quoted(command));
    ASSERT_EQ(ran.code, 0) << command << "\n" << ran.output;
  };
  write("migrations/1_old.sql", kBad);
  must(git + "init -q && " + git + "add migrations && " + git + "commit -qm old && " + git +
       "checkout -qb topic");
  const Variables action{{"files", "migrations"}, {"base", "main"}};
  const Variables gitlab{{"POUNDLOCK_BASE", "main"}};
  EXPECT_EQ(act({{"files", "migrations"}}).code, 1);
  EXPECT_EQ(act(action).code, 0);
  EXPECT_THAT(job(".poundlock-lint", gitlab).output, HasSubstr("no SQL file is new since main"));
  write("migrations/2_n\xC3\xB6w.sql", kBad);
  write("migrations/2_notes.txt", kBad);
  write("migrations/1_old.sql", kBad + kGood);
  must(git + "add migrations && " + git + "commit -qm new");
  for (const Ran& ran : {act(action), job(".poundlock-lint", gitlab)}) {
    EXPECT_EQ(ran.code, 1) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("2_n\xC3\xB6w.sql"));
    EXPECT_THAT(ran.output, Not(HasSubstr("1_old.sql")));
    EXPECT_THAT(ran.output, Not(HasSubstr("notes.txt")));
  }
  // A branch that is not there must not pass for one without new files.
  EXPECT_GT(act({{"files", "migrations"}, {"base", "nowhere"}}).code, 1);
  EXPECT_GT(job(".poundlock-lint", {{"POUNDLOCK_BASE", "nowhere"}}).code, 1);
}

TEST_F(CiTest, PreCommitRunsTheHookOnChangedMigrations) {
  const auto packages = python_packages("pre-commit", kTop + "/tests/ci");
  if (!packages) GTEST_SKIP() << packages.error();
  const std::string git =
      "git -c user.name=t -c user.email=t@example.com -c init.defaultBranch=main -c "
      "protocol.file.allow=always ";
  const auto must = [&](const std::string& command) {
    const Ran ran = shell("sh -c " + quoted(command));
    ASSERT_EQ(ran.code, 0) << command << "\n" << ran.output;
  };
  fs::create_directories(folder_ / "hooks");
  fs::copy_file(kTop + "/.pre-commit-hooks.yaml", folder_ / "hooks/.pre-commit-hooks.yaml");
  must("cd hooks && " + git + "init -q && " + git + "add . && " + git + "commit -qm hooks && " + git +
       "tag v1");
  write("app/.pre-commit-config.yaml",
        fmt::format("repos:\n- repo: {}/hooks\n  rev: v1\n  hooks:\n  - id: poundlock-lint\n",
                    folder_.string()));
  write("app/db/V1__my file.sql", kBad);
  write("app/db/notes.txt", kBad);
  must("cd app && " + git + "init -q && " + git + "add .");
  const std::string hook = "sh -c " + quoted("cd app && " + *packages + "/bin/pre-commit run");
  const Ran bad = shell(hook);
  EXPECT_EQ(bad.code, 1) << bad.output;
  EXPECT_THAT(bad.output, HasSubstr("db/V1__my file.sql:1:1"));
  EXPECT_THAT(bad.output, Not(HasSubstr("notes.txt")));
  write("app/db/V1__my file.sql", kGood);
  must("cd app && " + git + "add .");
  const Ran good = shell(hook);
  EXPECT_EQ(good.code, 0) << good.output;
}

TEST_F(CiTest, TheDryRunPartsRunOnAMarkedShadowAlone) {
  if (!has_dry_run()) GTEST_SKIP() << "SKIPPED: this program has no dry-run";
  const auto cluster = PgCluster::start();
  ASSERT_TRUE(cluster) << cluster.error().to_string();
  const std::string url = fmt::format("postgresql://app@127.0.0.1:{}/app", (*cluster)->port());
  // Nobody stays in the shadow: only then is it copied, so that each part finds it as it was.
  const auto as_superuser = [&](const std::string& sql) {
    auto session = (*cluster)->database("postgres", "app")->connect();
    ASSERT_TRUE(session);
    const auto done = (*session)->run(sql);
    ASSERT_TRUE(done) << done.error().to_string();
  };
  as_superuser("CREATE TABLE public.orders (id bigint PRIMARY KEY)");
  as_superuser("ALTER TABLE public.orders OWNER TO app");
  const std::string timeouts = "SET lock_timeout = '50ms';\nSET statement_timeout = '5s';\n";
  // The second alters what the first makes, and git names V10 before V9.
  write("V10__note.sql", timeouts + "ALTER TABLE public.notes ADD COLUMN note text;\n");
  write("V9__notes.sql", timeouts + "CREATE TABLE public.notes (id bigint PRIMARY KEY);\n");
  const auto all = [&] {
    std::vector<int> codes;
    codes.push_back(
        act({{"files", "V10__note.sql\nV9__notes.sql"}, {"shadow-url", url}, {"poundlock", "poundlock"}})
            .code);
    codes.push_back(job(".poundlock-dry-run",
                        {{"POUNDLOCK_FILES", "V10__note.sql V9__notes.sql"}, {"POUNDLOCK_SHADOW_URL", url}})
                        .code);
    for (const yaml::Node& hook : parsed(".pre-commit-hooks.yaml").items)
      if (at(hook, "id").scalar == "poundlock-dry-run")
        codes.push_back(
            shell(at(hook, "entry").scalar + " V10__note.sql V9__notes.sql", {{"POUNDLOCK_SHADOW_URL", url}})
                .code);
    return codes;
  };
  for (const int code : all()) EXPECT_NE(code, 0);
  as_superuser("ALTER DATABASE app SET poundlock.shadow = on");
  EXPECT_THAT(all(), testing::ElementsAre(0, 0, 0));
}

}  // namespace
}  // namespace poundlock::scenario
