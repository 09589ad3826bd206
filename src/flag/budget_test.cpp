// What one evaluation may cost: steps and memory end with an error, never with a wrong answer.
#include <gtest/gtest.h>

#include "base/json.h"
#include "flag/snapshot.h"

namespace poundlock::flag {
namespace {

std::shared_ptr<const Snapshot> compiled(const json::Value& rule) {
  const json::Object flag{
      {"state", "ENABLED"}, {"variants", {{"true", 1}, {"false", 2}, {"on", 3}}}, {"targeting", rule}};
  auto snapshot = Snapshot::compile(json::dump(json::Object{{"flags", {{"f", flag}}}}), "test");
  EXPECT_TRUE(snapshot) << snapshot.error().to_string();
  return snapshot ? *snapshot : nullptr;
}

std::string answer(const json::Value& rule, const json::Object& context) {
  const auto snapshot = compiled(rule);
  if (!snapshot) return "refused";
  const Resolution got = snapshot->evaluate("f", JsonAttributes(context), 0);
  return got.reason == Reason::kError ? to_string(got.error) : got.variant->name;
}

json::Object call(std::string_view name, json::Array operands) {
  return json::Object{{name, std::move(operands)}};
}
json::Object var(std::string_view path) {
  return json::Object{{"var", path}};
}

json::Array names(std::size_t count, const std::string& prefix) {
  json::Array list;
  for (std::size_t i = 0; i < count; ++i) list.emplace_back(prefix + std::to_string(i));
  return list;
}

TEST(Budget, WhatIsAskedOfEachItemCounts) {
  const json::Object context{{"groups", names(60'000, "g")}};
  EXPECT_EQ(answer(call("some", {var("groups"), call("==", {var(""), "g59999"})}), context), "true")
      << "a large list and a plain question are no trouble";
  json::Array questions;
  for (const auto& name : names(4'000, "n")) questions.push_back(call("==", {var(""), name}));
  EXPECT_EQ(answer(call("some", {var("groups"), call("or", questions)}), context), "GENERAL");
  EXPECT_EQ(answer(call("some", {var("groups"), call("or", json::Array(4'000, false))}), context), "GENERAL");
}

TEST(Budget, ALengthThatIsSearchedCounts) {
  const json::Object context{{"groups", names(20'000, "g")}};
  const auto some_in = [](json::Array list) {
    return call("some", {var("groups"), call("in", {var(""), std::move(list)})});
  };
  EXPECT_EQ(answer(some_in(names(100, "n")), context), "false");
  EXPECT_EQ(answer(some_in(names(5'000, "n")), context), "GENERAL");
}

TEST(Budget, LongTextCounts) {
  const json::Object context{{"a", std::string(500'000, 'x')}, {"b", std::string(500'000, 'x')}};
  const auto all_of = [](std::size_t count, const json::Object& question) {
    return call("and", json::Array(count, question));
  };
  for (const char* name : {"==", "===", "<=", ">=", "starts_with", "ends_with", "in"}) {
    const auto question = call(name, {var("a"), var("b")});
    EXPECT_EQ(answer(all_of(2, question), context), "true") << name;
    EXPECT_EQ(answer(all_of(1'000, question), context), "GENERAL") << name;
  }
  const auto cut = call("==", {call("substr", {var("a"), -1}), "x"});
  EXPECT_EQ(answer(all_of(2, cut), context), "true");
  EXPECT_EQ(answer(all_of(1'000, cut), context), "GENERAL");
}

// A search that takes the product of both lengths would need minutes here.
TEST(Budget, SearchingTextIsLinear) {
  const json::Object context{{"text", std::string(600'000, 'a')},
                             {"part", std::string(300'000, 'a') + "b" + std::string(1'000, 'a')}};
  EXPECT_EQ(answer(call("in", {var("part"), var("text")}), context), "false");
}

TEST(Budget, SeveralEvaluationsCanShareOne) {
  const json::Object context{{"groups", names(1'000, "g")}};
  const JsonAttributes attributes(context);
  const auto lists = compiled(call("some", {var("groups"), call("==", {var(""), "no"})}));
  const auto plain = compiled(call("==", {var("x"), "no"}));
  std::int64_t steps_left = 10'000;
  int answered = 0;
  while (lists->evaluate(*lists->find("f"), attributes, 0, &steps_left).error == ErrorCode::kNone) ++answered;
  EXPECT_EQ(answered, 2) << "four steps an item";
  EXPECT_EQ(steps_left, 0);
  EXPECT_EQ(plain->evaluate(*plain->find("f"), attributes, 0, &steps_left).error, ErrorCode::kNone);
}

TEST(Budget, AnObjectThatIsSearchedCounts) {
  json::Object wide;
  for (int i = 0; i < 30'000; ++i) wide["m" + std::to_string(i)] = i;
  const json::Object user{{"user", std::move(wide)}};
  const auto missing_one = [](const char* path) { return call("==", {var(path), nullptr}); };
  EXPECT_EQ(answer(missing_one("user.x"), user), "true");
  EXPECT_EQ(answer(call("and", json::Array(1'000, missing_one("user.x"))), user), "GENERAL");
  EXPECT_EQ(answer(call("!!", {call("missing", json::Array(1'000, "user.x"))}), user), "GENERAL");
}

// 60 conditions over one list: what is made of it is made once.
TEST(Budget, AListIsSeenWholeHoweverOftenItIsAskedFor) {
  json::Array branches;
  for (const auto& name : names(60, "no")) {
    branches.push_back(call("in", {name, var("groups")}));
    branches.emplace_back("false");
  }
  branches.push_back(call("in", {"g1", {var("groups")}}));
  branches.emplace_back("on");
  branches.emplace_back("false");
  for (const std::size_t count : {2u, 1'000u, 1'100u, 60'000u})
    EXPECT_EQ(answer(call("if", branches), {{"groups", names(count, "g")}}), "on") << count;
}

TEST(Budget, WhatDoesNotFitIsAnErrorAndNoEmptyList) {
  const json::Object large{{"groups", names(70'000, "g")}};
  const auto in_groups = call("in", {"g1", var("groups")});
  EXPECT_EQ(answer(call("if", {in_groups, "true", "false"}), large), "GENERAL");
  EXPECT_EQ(answer(call("if", {call("!", {in_groups}), "true", "false"}), large), "GENERAL");
  EXPECT_EQ(answer(call("if", {call("!", {var("")}), "true", "false"}), large), "GENERAL") << "the context";
  EXPECT_EQ(answer(call("+", {1, call("max", {var("groups")})}), large), "GENERAL")
      << "no error that comes of it";
}

}  // namespace
}  // namespace poundlock::flag
