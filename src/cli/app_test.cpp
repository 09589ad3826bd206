// The command line as people and scripts meet it: usage, exit codes, files.
#include "cli/app.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "cli/completion.h"
#include "cli/run_for_test.h"
#include "rollout/config.h"

namespace poundlock::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class AppTest : public CommandLineTest {};

TEST_F(AppTest, UnknownVerbIsUsageWithTheNearestOne) {
  const auto ran = run({"stauts"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_THAT(ran.err, HasSubstr("unknown verb stauts"));
  EXPECT_THAT(ran.err, HasSubstr("try: did you mean status?"));
}

TEST_F(AppTest, UnknownOptionIsUsageWithTheNearestOne) {
  const auto ran = run({"start", "a.yaml", "--sped", "4"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("unknown option --sped"));
  EXPECT_THAT(ran.err, HasSubstr("did you mean --speed?"));
  EXPECT_THAT(run({"--jsn", "status"}).err, HasSubstr("unknown option --jsn"));
  EXPECT_THAT(run({"flag", "lst"}).err, HasSubstr("did you mean list?"));
  // Where the verb takes a name or a file, the mistyped word is taken for that.
  EXPECT_THAT(run({"paths", "tset", "a.yaml", "--", "true"}).err,
              testing::AllOf(HasSubstr("unknown verb tset"), HasSubstr("did you mean test?")));
  EXPECT_THAT(run({"verify", "boundary", "--server", "http://127.0.0.1:1"}).err,
              HasSubstr("did you mean verify boundaries?"));
}

TEST_F(AppTest, MissingAndSuperfluousArgumentsAreUsage) {
  EXPECT_EQ(run({"start"}).code, 2);
  EXPECT_THAT(run({"start"}).err, HasSubstr("try: `poundlock start --help`"));
  EXPECT_EQ(run({"status", "a", "b"}).code, 2);
  EXPECT_THAT(run({"flag", "eval"}).err, HasSubstr("try: `poundlock flag eval --help`"));
  EXPECT_THAT(run({"flag", "get", "k", "more"}).err, HasSubstr("`poundlock flag get --help`"));
  EXPECT_EQ(run({"start", "a.yaml", "--speed", "0"}).code, 2);
  EXPECT_EQ(run({"start", "a.yaml", "--wait", "--limit", "soon"}).code, 2);
  EXPECT_EQ(run({"status", "--output", "sarif"}).code, 2);
  EXPECT_EQ(run({"status", "--output", "xml"}).code, 2);
  EXPECT_EQ(run({}).code, 2);
}

TEST_F(AppTest, HelpAndVersionAreNoErrors) {
  const auto help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("rollback"));
  EXPECT_EQ(run({"rollback", "--help"}).code, 0);
  EXPECT_THAT(run({"--version"}).out, HasSubstr("0.1.0"));
}

TEST_F(AppTest, HelpAndVersionAreVerbsToo) {
  EXPECT_EQ(run({"help"}).out, run({"--help"}).out);
  EXPECT_EQ(run({"help", "rollback"}).out, run({"rollback", "--help"}).out);
  EXPECT_EQ(run({"help", "flag", "set"}).out, run({"flag", "set", "--help"}).out);
  EXPECT_EQ(run({"version"}).out, run({"--version"}).out);
  const auto none = run({"help", "stauts"});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("did you mean status?"));
  EXPECT_THAT(run({"--help"}).out, HasSubstr("POUNDLOCK_TOKEN, which holds the token itself"));
}

TEST_F(AppTest, ErrorsAreJsonOnStandardOutputWhenAskedFor) {
  const auto ran = run({"lint", "no.sql", "--output", "json"});
  EXPECT_EQ(ran.code, 2);
  const auto value = boost::json::parse(ran.out);
  EXPECT_EQ(value.at("error").at("code").as_string(), "file.read");
  EXPECT_EQ(value.at("error").at("exit_code").as_int64(), 2);
  EXPECT_EQ(boost::json::parse(run({"nonsense", "--output=json"}).out).at("error").at("code").as_string(),
            "usage");
}

TEST_F(AppTest, InitWritesFilesThatAreReadAndOverwritesOnlyWhenForced) {
  EXPECT_EQ(run({"init"}).code, 0);
  EXPECT_EQ(read("poundlock.yaml"), rollout::example_config());
  EXPECT_EQ(run({"lint", "rollouts/example.yaml"}).code, 0);
  write("poundlock.yaml", "mine");
  const auto again = run({"init"});
  EXPECT_EQ(again.code, 4);
  EXPECT_THAT(again.err, HasSubstr("--force"));
  EXPECT_EQ(read("poundlock.yaml"), "mine");
  EXPECT_EQ(run({"init", "--force"}).code, 0);
  EXPECT_EQ(read("poundlock.yaml"), rollout::example_config());
}

TEST_F(AppTest, LintFindsAndAnswersInEveryFormat) {
  write("bad.sql", "CREATE INDEX i ON orders (a);\n");
  write("good/one.sql", "SELECT 1;\n");
  const auto text = run({"lint", "bad.sql"});
  EXPECT_EQ(text.code, 1);
  EXPECT_THAT(text.out, HasSubstr("bad.sql:1:1"));
  EXPECT_EQ(run({"lint", "good"}).code, 0);
  EXPECT_EQ(boost::json::parse(run({"lint", "bad.sql", "--output", "sarif"}).out).at("version").as_string(),
            "2.1.0");
  EXPECT_THAT(run({"lint", "bad.sql", "--output", "junit"}).out, HasSubstr("<testsuite"));
  EXPECT_THAT(run({"lint", "bad.sql", "--output", "github"}).out, HasSubstr("::error file=bad.sql,line=1,"));
  const auto found = boost::json::parse(run({"lint", "bad.sql", "--output", "json"}).out).as_array();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].at("rule").as_string(), "index_not_concurrent");
  EXPECT_EQ(run({"lint", "good", "--output", "json"}).out, "[]\n");
}

TEST_F(AppTest, LintSaysWhatIsWrongWithItsArguments) {
  write("a.sql", "SELECT 1;");
  EXPECT_EQ(run({"lint", "a.sql", "--disable", "no_such_rule"}).code, 2);
  std::filesystem::create_directories(folder_ / "empty");
  EXPECT_THAT(run({"lint", "empty"}).err, HasSubstr("no .sql file and no rollout below empty"));
  write("r.yaml", "rollout: x\nnonsense: 1\n");
  const auto broken = run({"lint", "r.yaml"});
  EXPECT_EQ(broken.code, 2);
  EXPECT_THAT(broken.err, HasSubstr("at r.yaml:2:1"));
}

TEST_F(AppTest, LintSaysWhereTheStatementsOfARolloutAreLinted) {
  EXPECT_EQ(run({"init"}).code, 0);
  const auto ran = run({"lint", "rollouts/example.yaml"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(
      ran.out,
      "rollouts/example.yaml: reads well; its statements are linted in prepare, and `poundlock plan --sql "
      "rollouts/example.yaml` shows them\n");
  write("empty.sql", "-- nothing\n");
  EXPECT_EQ(run({"lint", "empty.sql"}).out, "empty.sql: holds no statement\n");
}

TEST_F(AppTest, LintTakesTheRolloutsOfAFolderAndNoOtherYaml) {
  EXPECT_EQ(run({"init"}).code, 0);  // poundlock.yaml and rollouts/example.yaml
  write("migrations/one.sql", "SELECT 1;\n");
  write("values.yaml", "replicas: {{ .Values.replicas }}\n");
  const auto ran = run({"lint", "."});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("example.yaml: reads well"));
  EXPECT_THAT(ran.out, HasSubstr("no finding in 1 statement\n"));
  EXPECT_THAT(ran.out, Not(HasSubstr("poundlock.yaml")));
  write("rollouts/broken.yml", "rollout: [\n");
  const auto broken = run({"lint", "rollouts"});
  EXPECT_EQ(broken.code, 2);
  EXPECT_THAT(broken.err, HasSubstr("broken.yml:"));
}

TEST_F(AppTest, AFileIsReadBeforeAnyServerIsAsked) {
  write("r.yaml", "rollout: x\nnonsense: 1\n");
  const auto ran = run({"start", "r.yaml", "--server", "http://127.0.0.1:1"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("r.yaml:2:1"));
}

TEST_F(AppTest, PlanSaysWhichVariableADatabaseNeeds) {
  EXPECT_EQ(run({"init"}).code, 0);
  const auto ran = run({"plan", "rollouts/example.yaml", "--environment", "prod"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("PROD_DATABASE_PASSWORD"));
  EXPECT_THAT(ran.err, HasSubstr("poundlock.yaml:"));
  EXPECT_EQ(run({"plan", "rollouts/example.yaml", "--environment", "nowhere"}).code, 2);
}

TEST_F(AppTest, ADatabaseThatIsNotThereIsExitCodeThree) {
  EXPECT_EQ(run({"init"}).code, 0);
  const auto ran = run({"plan", "rollouts/example.yaml", "--database-url", "postgres://u@127.0.0.1:1/x"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(run({"doctor", "--database-url", "postgres://u@127.0.0.1:1/x"}).code, 3);
}

TEST_F(AppTest, ServeSaysWhereItLooked) {
  const auto ran = run({"serve", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_THAT(ran.err, HasSubstr("poundlockd"));
}

TEST_F(AppTest, CompletionKnowsVerbsOptionsAndShells) {
  const auto bash = run({"completion", "bash"});
  EXPECT_EQ(bash.code, 0);
  for (const char* word :
       {"rollback", "--restore", "list get set on off delete reset eval validate import export status stale",
        "--environment", "complete "})
    EXPECT_THAT(bash.out, HasSubstr(word));
  EXPECT_THAT(bash.out, HasSubstr("--config) COMPREPLY=($(compgen -f"));
  EXPECT_THAT(bash.out, HasSubstr("--output) COMPREPLY=($(compgen -W 'text json sarif junit github'"));
  EXPECT_THAT(bash.out, HasSubstr("'completion') words='--help bash zsh fish'"));
  EXPECT_THAT(bash.out, HasSubstr("'help') words='--help init doctor"));
  EXPECT_THAT(run({"completion", "fish"}).out, HasSubstr("-l output -x -a 'text json sarif junit github'"));
  EXPECT_THAT(run({"completion", "zsh"}).out, HasSubstr("#compdef poundlock"));
  EXPECT_THAT(run({"completion", "fish"}).out, HasSubstr("-a rollback -d"));
  const auto other = run({"completion", "tcsh"});
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, HasSubstr("bash, zsh or fish"));
}

TEST(Completion, BashScriptIsValidAndCompletes) {
  const std::vector<VerbInfo> verbs{{"lint", "check", {{"--disable", true, false, {}}}, true, {}},
                                    {"flag", "flags", {}, false, {}},
                                    {"flag get", "one", {{"--help", false, false, {}}}, false, {}},
                                    {"completion", "script", {}, false, {"bash", "zsh", "fish"}}};
  const std::vector<OptionInfo> globals{{"--server", true, false, {}},
                                        {"--config", true, true, {}},
                                        {"--output", true, false, {"text", "json"}}};
  const auto script = completion_script("bash", verbs, globals);
  ASSERT_TRUE(script);
  const auto complete = [&](const std::string& words, int at) {
    const std::string command = "bash -c '" + std::string("source /dev/stdin; COMP_WORDS=(") + words +
                                "); COMP_CWORD=" + std::to_string(at) +
                                "; _poundlock; echo \"${COMPREPLY[*]}\"'";
    const std::string file = testing::TempDir() + "/completion.sh";
    std::ofstream(file) << *script;
    FILE* pipe = ::popen((command + " < " + file).c_str(), "r");
    char text[512] = {};
    const auto size = std::fread(text, 1, sizeof text - 1, pipe);
    EXPECT_EQ(::pclose(pipe), 0);
    return std::string(text, size);
  };
  EXPECT_EQ(complete("poundlock f", 1), "flag\n");
  EXPECT_EQ(complete("poundlock flag g", 2), "get\n");
  EXPECT_EQ(complete("poundlock lint --d", 2), "--disable\n");
  EXPECT_EQ(complete("poundlock lint --s", 2), "--server\n");
  EXPECT_EQ(complete("poundlock completion z", 2), "zsh\n");
  EXPECT_EQ(complete("poundlock --output j", 2), "json\n");
  EXPECT_EQ(complete("poundlock --output = j", 3), "json\n");
  EXPECT_EQ(complete("poundlock --output = \"\"", 3), "text json\n");
  EXPECT_EQ(complete("poundlock --server x f", 3), "flag\n") << "an option's value is no verb";
  EXPECT_EQ(complete("poundlock --output = json flag g", 5), "get\n");
  EXPECT_EQ(complete("poundlock --config /et", 2), "/etc\n");
}

}  // namespace
}  // namespace poundlock::cli
