// Verbs on flags that need no server: eval, validate, import --dry-run, kill --offline.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <atomic>
#include <boost/json.hpp>
#include <thread>
#include <tuple>
#include <vector>

#include "base/json.h"
#include "cli/run_for_test.h"
#include "store/sqlite_store.h"

namespace poundlock::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kFlags = R"({"flags": {
  "k": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
    "targeting": {"if": [{"==": [{"var": "tier"}, "gold"]}, "on", null]}, "metadata": {"owner": "shop"}},
  "broken": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on", "targeting": {"nope": []}},
  "disabled": {"state": "DISABLED", "variants": {"on": true}, "defaultVariant": "on"}}})";

class FlagFilesTest : public CommandLineTest {
 protected:
  json::Object output(const Ran& ran) {
    const auto value = json::parse(ran.out, "output");
    EXPECT_TRUE(value && value->is_object()) << ran.out << ran.err;
    return value && value->is_object() ? value->as_object() : json::Object{};
  }
};

TEST_F(FlagFilesTest, EvalWithoutAServerPrintsTheWholeAnswer) {
  write("f.json", kFlags);
  const auto ran =
      run({"flag", "eval", "k", "--context", R"({"tier": "gold"})", "--flags", "f.json", "--output", "json"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, R"({"key":"k","value":true,"variant":"on","reason":"TARGETING_MATCH","errorCode":null,)"
                     R"("metadata":{"owner":"shop"}})"
                     "\n");
  const auto none = run({"flag", "eval", "--flags", "f.json", "none", "--output", "json"});
  EXPECT_EQ(none.code, 2);
  EXPECT_EQ(none.out,
            R"({"key":"none","value":null,"variant":null,"reason":"ERROR","errorCode":"FLAG_NOT_FOUND",)"
            R"("metadata":{}})"
            "\n");
  const auto broken = output(run({"flag", "eval", "broken", "--flags", "f.json", "--output", "json"}));
  EXPECT_EQ(broken.at("errorCode"), "PARSE_ERROR");
  const auto disabled = output(run({"flag", "eval", "disabled", "--flags", "f.json", "--output", "json"}));
  EXPECT_EQ(disabled.at("reason"), "DISABLED");
  EXPECT_TRUE(disabled.at("value").is_null());
}

TEST_F(FlagFilesTest, EvalReadsFoldersAndBothFormsOfAContext) {
  write("flags/a.json", kFlags);
  write("flags/b.yaml",
        "flags:\n  k: {state: ENABLED, variants: {a: 1, b: 2}, defaultVariant: a,\n"
        "    targeting: {if: [{'==': [{var: n}, 3]}, b]}}\n");
  EXPECT_THAT(run({"flag", "eval", "k", "--flags", "flags"}).out, HasSubstr("1  (variant a"));
  EXPECT_THAT(run({"flag", "eval", "k", "--flags", "flags", "--context", "n=3"}).out,
              HasSubstr("2  (variant b, TARGETING_MATCH)"));
  EXPECT_EQ(run({"flag", "eval", "k", "--flags", "flags", "--context", "{"}).code, 2);
  EXPECT_EQ(run({"flag", "eval", "k", "--flags", "none"}).code, 2);
}

TEST_F(FlagFilesTest, EvalRefusesAContextThatIsTooDeep) {
  write("f.json", R"({"flags":{"k":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}})");
  const std::string deep = std::string(40, '[') + std::string(40, ']');
  for (const std::string& context : {"a=" + deep, R"({"a":)" + deep + "}"}) {
    const auto ran = run({"flag", "eval", "k", "--flags", "f.json", "--context", context});
    EXPECT_EQ(ran.code, 2) << context;
    EXPECT_THAT(ran.err, HasSubstr("deep")) << context;
  }
}

TEST_F(FlagFilesTest, EvalNamesTheNearestKey) {
  write("f.json", R"({"flags":{"banner":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}})");
  const auto ran = run({"flag", "eval", "baner", "--flags", "f.json"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("did you mean banner?"));
}

TEST_F(FlagFilesTest, EvalExplainsEachStep) {
  write("f.json", kFlags);
  const auto ran = run({"flag", "eval", "k", "--flags", "f.json", "--context", "tier=gold", "--explain"});
  EXPECT_THAT(ran.out, AllOf(HasSubstr("tier"), HasSubstr("gold"), HasSubstr("true  (variant on")));
  const auto json = output(run(
      {"flag", "eval", "k", "--flags", "f.json", "--context", "tier=gold", "--explain", "--output", "json"}));
  EXPECT_TRUE(json.at("explanation").is_array());
}

TEST_F(FlagFilesTest, ValidateNamesThePlaceOfEachMistake) {
  write("good.json", R"({"flags":{"k":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}})");
  write("again.json", R"({"flags":{"k":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}})");
  const auto good = run({"flag", "validate", "good.json", "again.json"});
  EXPECT_EQ(good.code, 0) << good.out;
  EXPECT_THAT(good.out,
              AllOf(HasSubstr("2 flags in 2 files: valid"), HasSubstr("warning: again.json: the flag 'k'")));
  write("bad.json", "{\"flags\": {\n  \"k\": {\"state\": \"ON\", \"variants\": {\"on\": true}}}}");
  const auto bad = run({"flag", "validate", "good.json", "bad.json"});
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.out, AllOf(HasSubstr("bad.json:2:"), HasSubstr("refused")));
  const auto json = output(run({"flag", "validate", "bad.json", "--output", "json"}));
  EXPECT_EQ(json.at("valid"), false);
  EXPECT_EQ(json.at("problems").at(0).at("where").at("line"), 2);
}

constexpr const char* kExport = R"({"items": [
  {"key": "plain", "variations": [{"value": "a"}, {"value": "b"}],
   "environments": {"production": {"on": false, "offVariation": 1}, "test": {"on": true, "offVariation": 1,
     "fallthrough": {"variation": 0}, "targets": [{"values": ["u1"], "variation": 1}]}}},
  {"key": "split", "variations": [{"value": true}, {"value": false}],
   "environments": {"production": {"on": true, "offVariation": 1, "fallthrough": {"rollout": {"variations":
     [{"variation": 0, "weight": 10000}, {"variation": 1, "weight": 90000}]}},
     "rules": [{"variation": 0, "clauses": [
       {"attribute": "country", "op": "in", "values": ["de", "fr"], "negate": true},
       {"attribute": "mail", "op": "endsWith", "values": ["@a", "@b"]}]}]}}},
  {"key": "segments", "variations": [{"value": true}], "environments": {"production": {"on": true,
     "fallthrough": {"variation": 0}, "rules": [{"variation": 0, "clauses": [
       {"attribute": "", "op": "segmentMatch", "values": ["s"]}]}]}}}]})";

TEST_F(FlagFilesTest, LaunchDarklysExportIsTranslatedOrNamed) {
  write("ld.json", kExport);
  const auto refused = run({"flag", "import", "--from", "launchdarkly", "ld.json", "--dry-run"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("flag segments: the operator segmentMatch"));
  const auto partial = run({"flag", "import", "--from", "launchdarkly", "ld.json", "--dry-run", "--partial"});
  ASSERT_EQ(partial.code, 0) << partial.err;
  EXPECT_THAT(partial.out, Not(HasSubstr("segments")));
  write("f.json", partial.out);
  const auto variant = [&](const std::string& key, const std::string& context) {
    return std::string(
        output(run({"flag", "eval", key, "--flags", "f.json", "--context", context, "--output", "json"}))
            .at("variant")
            .as_string());
  };
  EXPECT_EQ(variant("plain", "{}"), "v1") << "it is off in production";
  EXPECT_EQ(variant("split", R"({"country":"us","mail":"x@b"})"), "on");
  EXPECT_EQ(variant("split", R"({"country":"de","mail":"x@b"})"), "off") << "nobody to put into a bucket";
  EXPECT_EQ(variant("split", R"({"mail":"x@b"})"), "off") << "without the attribute no clause holds";
  int on = 0;
  for (int i = 0; i < 200; ++i)
    if (variant("split", fmt::format(R"({{"targetingKey":"u{}","country":"de"}})", i)) == "on") ++on;
  EXPECT_GT(on, 5);
  EXPECT_LT(on, 45);
  const auto test = run({"flag", "import", "--from", "launchdarkly", "ld.json", "--dry-run", "--partial",
                         "--environment-key", "test"});
  EXPECT_THAT(test.out, AllOf(HasSubstr(R"("in":[{"var":"targetingKey"},["u1"]])"), Not(HasSubstr("split"))));
}

TEST_F(FlagFilesTest, AnEnvironmentThatNoFlagHasIsAnErrorAlsoWithPartial) {
  write("ld.json", R"({"items":[{"key":"k","variations":[{"value":true}],
      "environments":{"production":{"on":true,"fallthrough":{"variation":0}},"test":{"on":false}}}]})");
  const auto ran = run({"flag", "import", "--from", "launchdarkly", "ld.json", "--dry-run", "--partial",
                        "--environment-key", "prodution"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("there are production, test"), HasSubstr("did you mean production?")));
}

TEST_F(FlagFilesTest, AFlagThatIsOffKeepsItsTargeting) {
  const std::string rest = R"("variations":[{"value":true},{"value":false}],"on":false,
      "fallthrough":{"variation":1},"targets":[{"variation":0,"values":["u1"]}])";
  write("ld.json", R"({"items":[{"key":"off","offVariation":1,)" + rest + R"(},{"key":"none",)" + rest +
                       R"(},{"key":"lost","offVariation":1,"variations":[{"value":true},{"value":false}],
                       "rules":[{"variation":0,"clauses":[{"op":"segmentMatch","values":["s"]}]}]}]})");
  const auto ran = run({"flag", "import", "--from", "launchdarkly", "ld.json", "--dry-run"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, AllOf(HasSubstr("note: flag off: it is off: its targeting is kept behind"),
                             HasSubstr("note: flag none: it is off: it is disabled"),
                             HasSubstr("note: flag lost: the operator segmentMatch; it is off")));
  const auto flags = output(ran).at("flags");
  EXPECT_EQ(flags.at("off").at("targeting").at("if").at(1),
            boost::json::parse(R"({"if":[{"in":[{"var":"targetingKey"},["u1"]]},"on","off"]})"));
  EXPECT_EQ(flags.at("none").at("state"), "DISABLED");
  EXPECT_TRUE(flags.at("none").as_object().contains("targeting"));
  write("f.json", ran.out);
  const auto eval = run({"flag", "eval", "off", "--targeting-key", "u1", "--flags", "f.json"});
  EXPECT_THAT(eval.out, HasSubstr("false  (variant off")) << "off is for everybody";
}

// A rule of LaunchDarkly's exposes nobody who lacks the attribute or has it in another type.
TEST_F(FlagFilesTest, AnImportedRuleExposesNobodyElse) {
  std::string items;
  int clauses = 0;
  const auto add = [&](const std::string& clause) {
    items += fmt::format(
        R"({{"key":"c{}","variations":[{{"value":true}},{{"value":false}}],"on":true,"offVariation":1,)"
        R"("fallthrough":{{"variation":1}},"rules":[{{"variation":0,"clauses":[{{{}}}]}}]}},)",
        clauses++, clause);
  };
  add(R"("attribute":"age","op":"lessThan","values":[18])");
  add(R"("attribute":"age","op":"greaterThanOrEqual","values":[0])");
  add(R"("attribute":"groups","op":"in","values":["beta","x"])");
  add(R"("attribute":"groups","op":"in","values":["beta"],"negate":true)");
  add(R"("attribute":"mail","op":"contains","values":["@shop"])");
  add(R"("attribute":"version","op":"semVerLessThan","values":["2.0.0"])");
  add(R"("attribute":"age","op":"in","values":[0,7])");
  items += R"({"key":"old","archived":true,"variations":[{"value":true}],"on":true})";
  write("ld.json", R"({"items":[)" + items + "]}");
  const auto done = run({"flag", "import", "--from", "launchdarkly", "ld.json", "--dry-run", "--partial"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_THAT(done.err + done.out, HasSubstr("flag old: it is archived"));
  write("f.json", done.out);
  EXPECT_THAT(run({"flag", "validate", "f.json"}).out, Not(HasSubstr("warning")));
  const std::tuple<const char*, const char*, bool> cases[] = {
      {"c0", R"({"age":17})", true},
      {"c0", R"({"age":18})", false},
      {"c0", "{}", false},
      {"c0", R"({"age":null})", false},
      {"c0", R"({"age":"17"})", false},
      {"c0", R"({"age":false})", false},
      {"c0", R"({"age":[40,17]})", true},
      {"c1", R"({"age":0})", true},
      {"c1", "{}", false},
      {"c1", R"({"age":""})", false},
      {"c2", R"({"groups":"beta"})", true},
      {"c2", R"({"groups":["a","beta"]})", true},
      {"c2", R"({"groups":["a"]})", false},
      {"c2", R"({"groups":0})", false},
      {"c2", R"({"groups":[true,null]})", false},
      {"c2", "{}", false},
      {"c3", R"({"groups":["a","beta"]})", false},
      {"c3", R"({"groups":["a"]})", true},
      {"c3", "{}", false},
      {"c4", R"({"mail":"x@shop.example"})", true},
      {"c4", R"({"mail":["y","x@shop.example"]})", true},
      {"c4", R"({"mail":7})", false},
      {"c5", R"({"version":"1.9.0"})", true},
      {"c5", R"({"version":1})", false},
      {"c5", R"({"version":"v1.9.0"})", false},
      {"c5", "{}", false},
      {"c6", R"({"age":0})", true},
      {"c6", R"({"age":"0"})", false},
      {"c6", "{}", false},
  };
  for (const auto& [key, context, on] : cases) {
    const auto ran =
        run({"flag", "eval", key, "--flags", "f.json", "--context", context, "--output", "json"});
    EXPECT_THAT(ran.out, HasSubstr(on ? R"("value":true)" : R"("value":false)")) << key << context;
  }
}

TEST_F(FlagFilesTest, KillOfflineWritesBothFilesAndKeepsWhatTheyHold) {
  write("o.json", R"({"flags":{"other":"live"},"note":"kept"})");
  const auto ran = run({"kill", "--offline", "--override-file", "o.json", "--flagd-file", "f.json", "k"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("the store could not tell"));
  EXPECT_EQ(read("o.json"), "{\"flags\":{\"other\":\"live\",\"k\":false},\"note\":\"kept\"}\n");
  EXPECT_THAT(run({"flag", "eval", "k", "--flags", "f.json"}).out, HasSubstr("false"));
  EXPECT_THAT(run({"flag", "eval", "k.stage", "--flags", "f.json"}).out, HasSubstr("\"off\""));
  EXPECT_EQ(run({"kill", "--offline", "k"}).code, 2) << "nowhere to write it";
  EXPECT_EQ(run({"kill", "--offline", "--override-file", "o.json"}).code, 2);
  EXPECT_EQ(run({"kill", "--offline", "--override-file", "no/such/folder/o.json", "k"}).code, 2);
  write("o.json", "{");
  EXPECT_EQ(run({"kill", "--offline", "--override-file", "o.json", "k"}).code, 2);
  EXPECT_EQ(read("o.json"), "{") << "what cannot be understood is not overwritten";
}

TEST_F(FlagFilesTest, KillOfflineWritesNothingThatReadersWouldRefuse) {
  const std::vector<std::string> kill{"kill", "--offline", "--override-file", "o.json", "k"};
  const std::string wrong = R"({"flags":{"other":{"variant":"off"}}})";
  write("o.json", wrong);
  const auto refused = run(kill);
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, AllOf(HasSubstr("nothing is off"), HasSubstr("'other' is an object")));
  EXPECT_EQ(read("o.json"), wrong);

  std::string full = R"({"flags":{"f0":"off")";
  for (int i = 1; i < 1'000; ++i) full += fmt::format(R"(,"f{}":"off")", i);
  full += "}}";
  write("o.json", full);
  EXPECT_EQ(run(kill).code, 2) << "the 1,001st";
  EXPECT_EQ(read("o.json"), full);
  EXPECT_EQ(run({"kill", "--offline", "--override-file", "o.json", "f7"}).code, 0) << "no new entry";

  const std::string large = R"({"note":")" + std::string((64 << 10) - 14, 'x') + "\"}";
  write("o.json", large);
  EXPECT_EQ(run(kill).code, 2) << "more than 64 KiB";
  EXPECT_EQ(read("o.json"), large);

  write("f.json", R"({"flags":{"other":7}})");
  EXPECT_EQ(run({"kill", "--offline", "--flagd-file", "f.json", "k"}).code, 2);
  EXPECT_EQ(read("f.json"), R"({"flags":{"other":7}})");
}

TEST_F(FlagFilesTest, KillOfflineTakesTheVariantThatIsFalse) {
  write("flags.json", R"({"flags": {
    "k": {"state": "ENABLED", "variants": {"enabled": true, "disabled": false}, "defaultVariant": "enabled"},
    "text": {"state": "ENABLED", "variants": {"a": "a", "b": "b"}, "defaultVariant": "a"}}})");
  const auto kill = [&](const std::string& key) {
    return run({"kill", "--offline", "--override-file", "o.json", "--flags", "flags.json", key});
  };
  EXPECT_EQ(kill("k").code, 0);
  EXPECT_EQ(kill("unknown").code, 0);
  const auto none = kill("text");
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("there is no off"));
  EXPECT_EQ(read("o.json"), "{\"flags\":{\"k\":\"disabled\",\"unknown\":false}}\n");
}

TEST_F(FlagFilesTest, KillsAtOneTimeLoseNothing) {
  constexpr int kOrders = 8;
  std::vector<std::thread> orders;
  std::atomic<int> done{0};
  for (int i = 0; i < kOrders; ++i)
    orders.emplace_back([&, i] {
      for (int j = 0; j < 5; ++j)
        if (run({"kill", "--offline", "--override-file", "o.json", fmt::format("k{}-{}", i, j)}).code == 0)
          ++done;
    });
  for (auto& one : orders) one.join();
  EXPECT_EQ(done, kOrders * 5);
  const auto all = json::parse(read("o.json"), "o.json");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->at("flags").as_object().size(), static_cast<std::size_t>(kOrders) * 5);
}

TEST_F(FlagFilesTest, KillOfflineKnowsRolloutsFromTheStore) {
  std::filesystem::create_directories(folder_ / "state");
  store::SqliteOptions options;
  options.path = (folder_ / "state" / "poundlock.db").string();
  auto store = store::open_sqlite(options);  // and a server still holds it
  ASSERT_TRUE(store);
  const std::string stage = R"(.stage":{"state":"ENABLED","variants":{},"defaultVariant":")";
  ASSERT_TRUE((*store)->commit(
      {{"flags/published",
        R"({"epoch":1,"revision":2,"parts":{"":{"plain":{"variants":{"yes":true,"no":false}}},)"
        R"("open":{"k":{},"k)" +
            stage + R"(off"}},"done":{"d":{},"d)" + stage +
            R"(complete"}}},"files":[{"flags":{"plain":{"variants":{"n":false}},)"
            R"("filed":{"variants":{"n":false}}}}]})",
        0}},
      {}));
  const auto open = run({"kill", "--offline", "--override-file", "o.json", "--rollout", "open"});
  EXPECT_EQ(open.code, 0) << open.err;
  EXPECT_THAT(open.err, Not(HasSubstr("warning")));
  EXPECT_EQ(read("o.json"), "{\"flags\":{\"k\":\"off\"}}\n");
  for (const auto& name : {std::vector<std::string>{"d"}, {"--rollout", "done"}, {"done"}}) {
    std::vector<std::string> words{"kill", "--offline", "--override-file", "o.json"};
    words.insert(words.end(), name.begin(), name.end());
    const auto closed = run(words);
    EXPECT_EQ(closed.code, 1) << closed.err;
    EXPECT_THAT(closed.err, HasSubstr("poundlock rollback done --restore"));
  }
  EXPECT_EQ(read("o.json"), "{\"flags\":{\"k\":\"off\"}}\n");
  EXPECT_EQ(run({"kill", "--offline", "--override-file", "o.json", "--rollout", "none"}).code, 2);
  EXPECT_THAT(run({"kill", "--offline", "--override-file", "o.json", "plain"}).err,
              Not(HasSubstr("warning")));
  EXPECT_EQ(run({"kill", "--offline", "--override-file", "o.json", "filed"}).code, 0);
  EXPECT_EQ(read("o.json"), "{\"flags\":{\"k\":\"off\",\"plain\":\"no\",\"filed\":\"n\"}}\n");
}

}  // namespace
}  // namespace poundlock::cli
