// The public API of one client without a server: typed values, details, context, hooks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "client/core.h"
#include "poundlock/client.h"
#include "poundlock/router.h"

namespace poundlock {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr const char* kDocument = R"({
  "metadata": {"flagSetId": "shop", "epoch": 1, "revision": 1},
  "flags": {
    "on": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on",
           "metadata": {"owner": "orders", "tries": 3, "share": 0.5, "old": true, "flagSetId": "mine"}},
    "text": {"state": "ENABLED", "variants": {"a": "apple", "b": "pear"}, "defaultVariant": "a",
             "targeting": {"if": [{"==": [{"var": "plan"}, "gold"]}, "b", "a"]}},
    "whole": {"state": "ENABLED", "variants": {"n": 9007199254740993}, "defaultVariant": "n"},
    "half": {"state": "ENABLED", "variants": {"n": -2.5}, "defaultVariant": "n"},
    "huge": {"state": "ENABLED", "variants": {"n": 1e300}, "defaultVariant": "n"},
    "object": {"state": "ENABLED", "variants": {"o": {"z": [1, {"y": 2, "x": 0.25}], "a": "é"}},
               "defaultVariant": "o"},
    "disabled": {"state": "DISABLED", "variants": {"on": true}, "defaultVariant": "on"},
    "none": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": null},
    "broken": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on",
               "targeting": {"no_such_operator": [1]}},
    "lost": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on",
             "targeting": {"if": [true, "elsewhere"]}}
  }})";

class ClientApi : public testing::Test {
 protected:
  static Context plan(const char* name) { return {"user-1", {{"plan", std::string(name)}}}; }
  Client client_ = Client::offline(kDocument);
  const Context nobody_;
};

TEST_F(ClientApi, EachTypeIsAnsweredAsItself) {
  EXPECT_TRUE(client_.bool_value("on", false, nobody_));
  EXPECT_EQ(client_.string_value("text", "x", plan("gold")), "pear");
  EXPECT_EQ(client_.int64_value("whole", 0, nobody_), 9007199254740993) << "more than a double holds";
  EXPECT_EQ(client_.double_value("half", 0, nobody_), -2.5);
  EXPECT_EQ(client_.number_value("half", 0, nobody_), -2.5);
  EXPECT_EQ(client_.int64_value("half", 0, nobody_), -2) << "as flagd cuts it";
  EXPECT_EQ(client_.object_value("object", "{}", nobody_), R"({"a":"é","z":[1,{"x":0.25,"y":2}]})");
}

TEST_F(ClientApi, TheDefaultHoldsWhereTheFlagGivesNothingOfThatType) {
  for (const char* key : {"absent", "text", "object", "disabled", "none", "broken", "lost"}) {
    EXPECT_TRUE(client_.bool_value(key, true, nobody_)) << key;
    EXPECT_FALSE(client_.bool_value(key, false, nobody_)) << key;
  }
  EXPECT_EQ(client_.string_value("on", "default", nobody_), "default");
  EXPECT_EQ(client_.int64_value("huge", 7, nobody_), 7);
  EXPECT_EQ(client_.int64_value("text", 7, nobody_), 7);
  EXPECT_EQ(client_.double_value("on", 7, nobody_), 7);
  EXPECT_EQ(client_.object_value("text", "{}", nobody_), "{}");
}

TEST_F(ClientApi, DetailsSayWhy) {
  const auto right = client_.string_details("text", "x", plan("gold"));
  EXPECT_EQ(right.value, "pear");
  EXPECT_EQ(right.variant, "b");
  EXPECT_EQ(right.reason, "TARGETING_MATCH");
  EXPECT_EQ(right.error_code, "");
  const auto disabled = client_.bool_details("disabled", true, nobody_);
  EXPECT_TRUE(disabled.value);
  EXPECT_EQ(disabled.reason, "DISABLED");
  EXPECT_EQ(disabled.error_code, "");
  EXPECT_EQ(client_.bool_details("none", true, nobody_).reason, "DEFAULT");
}

TEST_F(ClientApi, FiguresSayWhichBranchOfTheRuleAnswered) {
  client_.string_value("text", "x", plan("gold"));
  client_.string_value("text", "x", plan("silver"));
  client_.string_value("text", "x", plan("silver"));
  client_.bool_value("on", false, nobody_);
  std::vector<std::string> seen;
  for (const auto& row : client_.core()->report().evaluations) {
    seen.push_back(row.flag + " " + std::to_string(row.rule) + " x" + std::to_string(row.count));
  }
  EXPECT_THAT(seen, testing::UnorderedElementsAre("text 0 x1", "text 1 x2", "on -1 x1"));
}

TEST_F(ClientApi, ErrorsCarryOpenFeaturesCodes) {
  const auto code = [&](const char* key) { return client_.bool_details(key, true, nobody_).error_code; };
  EXPECT_EQ(code("absent"), "FLAG_NOT_FOUND");
  EXPECT_EQ(code("text"), "TYPE_MISMATCH");
  EXPECT_EQ(code("broken"), "PARSE_ERROR");
  EXPECT_EQ(code("lost"), "GENERAL");
  const auto mismatch = client_.int64_details("huge", 7, nobody_);
  EXPECT_EQ(mismatch.error_code, "TYPE_MISMATCH");
  EXPECT_EQ(mismatch.reason, "ERROR");
  EXPECT_EQ(mismatch.variant, "");
  EXPECT_EQ(mismatch.value, 7);
  EXPECT_FALSE(mismatch.error_message.empty());
  const Client none = Client::create({});
  const auto early = none.double_details("on", 1.5, nobody_);
  EXPECT_EQ(early.error_code, "PROVIDER_NOT_READY");
  EXPECT_EQ(early.value, 1.5);
}

TEST_F(ClientApi, TheFlagsOwnMetadataOverlaysTheSets) {
  EXPECT_THAT(
      client_.bool_details("on", false, nobody_).flag_metadata,
      testing::UnorderedElementsAre(Pair("flagSetId", MetadataValue(std::string("mine"))),
                                    Pair("owner", MetadataValue(std::string("orders"))),
                                    Pair("tries", MetadataValue(std::int64_t{3})),
                                    Pair("share", MetadataValue(0.5)), Pair("old", MetadataValue(true))));
}

TEST_F(ClientApi, AnOverrideIsReadAsTheTypeThatIsAskedFor) {
  client_.core()->set_overrides({{"on", "off"}, {"text", "nonsense"}, {"new", "on"}, {"number", "7.5"}});
  const auto off = client_.bool_details("on", true, nobody_);
  EXPECT_FALSE(off.value);
  EXPECT_EQ(off.reason, "OVERRIDE");
  EXPECT_EQ(off.variant, "off");
  const auto nonsense = client_.string_details("text", "default", nobody_);
  EXPECT_EQ(nonsense.value, "default");
  EXPECT_EQ(nonsense.error_code, "GENERAL");
  EXPECT_TRUE(client_.bool_value("new", false, nobody_));
  EXPECT_EQ(client_.double_value("number", 0, nobody_), 7.5);
  EXPECT_EQ(client_.int64_value("number", 0, nobody_), 7);
  EXPECT_EQ(client_.bool_details("number", true, nobody_).error_code, "TYPE_MISMATCH");
}

TEST_F(ClientApi, TheClientsContextLiesUnderTheCalls) {
  client_.set_context(plan("gold"));
  EXPECT_EQ(client_.string_value("text", "x", nobody_), "pear");
  EXPECT_EQ(client_.string_value("text", "x", plan("silver")), "apple") << "the call's word wins";
  client_.set_context({});
  EXPECT_EQ(client_.string_value("text", "x", nobody_), "apple");
  ClientOptions options;
  options.context = {"tenant-7", {{"context", std::string("internal")}}};
  const Client with = Client::create(options);
  with.core()->offer(
      R"({"flags": {"who": {"state": "ENABLED", "variants": {"a": "key", "b": "all", "c": "no"},
      "defaultVariant": "c", "targeting": {"if": [{"==": [{"var": "targetingKey"}, "tenant-7"]},
        {"if": [{"==": [{"var": ""}, 1]}, "b", "a"]}, "c"]}}}})");
  EXPECT_EQ(with.string_value("who", "", nobody_), "key");
  EXPECT_EQ(with.string_value("who", "", {"tenant-8", {}}), "no");
  const auto rows = with.core()->report().evaluations;
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].context, "internal") << "figures are by the whole context";
}

// Appends "NAME.stage" at each stage.
Hook logging(std::vector<std::string>& log, const std::string& name) {
  Hook hook;
  hook.before = [&log, name](const HookContext&) {
    log.push_back(name + ".before");
    return std::optional<Context>();
  };
  hook.after = [&log, name](const HookContext&, const Details&, const FlagValue&) {
    log.push_back(name + ".after");
  };
  hook.error = [&log, name](const HookContext&, std::string_view) { log.push_back(name + ".error"); };
  hook.finally = [&log, name](const HookContext&, const Details&, const FlagValue&) {
    log.push_back(name + ".finally");
  };
  return hook;
}

TEST_F(ClientApi, HooksRunInOrderAndBackwards) {
  std::vector<std::string> log;
  ASSERT_TRUE(client_.add_hook(logging(log, "client")));
  EXPECT_TRUE(client_.bool_details("on", false, nobody_, {{logging(log, "call")}}).value);
  EXPECT_THAT(log, ElementsAre("client.before", "call.before", "call.after", "client.after", "call.finally",
                               "client.finally"));
  log.clear();
  EXPECT_TRUE(client_.bool_value("absent", true, nobody_)) << "values run hooks, too";
  EXPECT_THAT(log, ElementsAre("client.before", "client.error", "client.finally"));
}

TEST_F(ClientApi, HooksSeeTheEvaluationAndMayAddToItsContext) {
  client_.set_context({"tenant", {{"region", std::string("eu")}}});
  Hook hook;
  hook.before = [&](const HookContext& seen) {
    EXPECT_EQ(seen.flag_key, "text");
    EXPECT_EQ(seen.type, FlagType::kString);
    EXPECT_EQ(seen.default_value, FlagValue(std::string("x")));
    EXPECT_EQ(seen.context.targeting_key, "tenant");
    EXPECT_EQ(seen.context.attributes.size(), 1U);
    return std::optional<Context>({"", {{"plan", std::string("gold")}}});
  };
  hook.after = [&](const HookContext& seen, const Details& details, const FlagValue& value) {
    EXPECT_EQ(seen.context.targeting_key, "tenant");
    EXPECT_EQ(details.variant, "b");
    EXPECT_EQ(value, FlagValue(std::string("pear")));
  };
  client_.add_hook(hook);
  EXPECT_EQ(client_.string_value("text", "x", nobody_), "pear");
}

TEST_F(ClientApi, AHookThatThrowsBreaksNothing) {
  std::vector<std::string> log;
  std::string told;
  Hook hook = logging(log, "calm");
  hook.error = [&](const HookContext&, std::string_view message) { told = message; };
  client_.add_hook(hook);
  Hook wild;
  wild.before = [](const HookContext&) -> std::optional<Context> { throw std::runtime_error("ouch"); };
  wild.after = [](const HookContext&, const Details&, const FlagValue&) { throw 7; };
  wild.error = [](const HookContext&, std::string_view) { throw 7; };
  wild.finally = [](const HookContext&, const Details&, const FlagValue&) { throw 7; };
  client_.add_hook(wild);
  const auto details = client_.bool_details("on", false, nobody_);
  EXPECT_TRUE(details.value);
  EXPECT_EQ(details.error_code, "");
  EXPECT_THAT(log, ElementsAre("calm.before", "calm.after", "calm.finally"));
  EXPECT_THAT(told, testing::HasSubstr("before stage threw: ouch"));
}

TEST_F(ClientApi, AHookMayEvaluateAndReplaceWhatIsInUse) {
  int calls = 0;
  Hook hook;
  hook.before = [&](const HookContext&) {
    ++calls;
    EXPECT_EQ(client_.string_value("text", "x", plan("gold")), "pear");
    client_.set_context({"someone", {}});  // this thread's view is another one now
    EXPECT_EQ(client_.string_value("text", "x", plan("gold")), "pear");
    return std::optional<Context>();
  };
  client_.add_hook(hook);
  EXPECT_TRUE(client_.bool_value("on", false, nobody_));
  EXPECT_EQ(calls, 1) << "a hook's own evaluations run without hooks";
}

TEST_F(ClientApi, WhatAHookCapturesIsDestroyedOutsideEveryLock) {
  struct Asks {
    const Client*& client;
    ~Asks() {
      if (client != nullptr) client->status();
    }
  };
  static const Client* asked = nullptr;  // hooks live as long as the client
  asked = &client_;
  const Asks asks{asked};
  for (int i = 0; i < 3; ++i) {
    Hook hook;
    hook.error = [asks](const HookContext&, std::string_view) { (void)asks; };
    EXPECT_TRUE(client_.add_hook(std::move(hook)));
  }
  asked = nullptr;
}

TEST_F(ClientApi, HooksThatThrowWhenTheyAreCopiedEndNothing) {
  struct Wild {
    explicit Wild(const bool* when) : armed(when) {}
    Wild(const Wild& other) : armed(other.armed) {
      if (*armed) throw std::runtime_error("copied");
    }
    const bool* armed;
  };
  bool armed = false;
  int calls = 0;
  Hook hook;
  hook.before = [wild = Wild(&armed), &calls](const HookContext&) {
    ++calls;
    return std::optional<Context>();
  };
  Hook second;
  armed = true;
  EXPECT_TRUE(client_.add_hook(std::move(hook)));
  EXPECT_TRUE(client_.add_hook(std::move(second)));
  client_.set_context({"someone", {}});
  EXPECT_TRUE(client_.bool_value("on", false, nobody_));
  EXPECT_EQ(calls, 1);
}

TEST_F(ClientApi, HooksSeeARoutersChoiceAndAreBoundedInNumber) {
  std::vector<std::string> log;
  client_.add_hook(logging(log, "h"));
  client_.core()->set_overrides({{"k.stage", "live"}});
  EXPECT_EQ(Router(client_, "k").begin(nobody_).side(), Side::kNew);
  EXPECT_THAT(log, ElementsAre("h.before", "h.after", "h.finally"));
  for (std::size_t i = 1; i < client::Core::kHooksMax; ++i) EXPECT_TRUE(client_.add_hook({}));
  EXPECT_FALSE(client_.add_hook({}));
}

// An exclusion that is not seen would let traffic in that must stay out.
TEST_F(ClientApi, AListIsSeenWholeOrTheEvaluationFails) {
  std::string rule = R"({"if": [)";
  for (int i = 0; i < 60; ++i) {
    rule += R"({"in": ["no)" + std::to_string(i) + R"(", {"merge": [{"var": "context"}]}]}, "off", )";
  }
  rule += R"({"in": ["g1", {"merge": [{"var": "context"}]}]}, "on", "off"]})";
  const Client client = Client::offline(
      R"({"flags": {"f": {"state": "ENABLED", "variants": {"on": true, "off": false}, "targeting": )" + rule +
      "}}}");
  std::vector<std::string> groups;
  const auto variant = [&](std::size_t count) {
    while (groups.size() < count) groups.push_back("g" + std::to_string(groups.size()));
    const auto details = client.bool_details("f", false, {"user-1", {{"context", groups}}});
    return details.error_code.empty() ? details.variant : details.error_code;
  };
  EXPECT_EQ(variant(1'000), "on");
  EXPECT_EQ(variant(1'100), "on");
  EXPECT_EQ(variant(70'000), "GENERAL");
}

}  // namespace
}  // namespace poundlock
