#include "flag/report.h"

#include <gmock/gmock.h>

#include <string>

namespace poundlock::flag {
namespace {

using ::testing::HasSubstr;

constexpr const char* kHead =
    R"("service":"orders","instance":"i1","sequence":1,"applied":{"epoch":1,"revision":2})";

std::string with(const std::string& rest) {
  return "{" + std::string(kHead) + "," + rest + "}";
}

Error refused(const std::string& text) {
  auto report = report_from_json(text);
  EXPECT_FALSE(report) << text.substr(0, 200);
  return report ? Error{} : report.error();
}

Report full_report() {
  Report report{.service = "orders",
                .instance = "orders-7f",
                .build = "abc123",
                .legacy_path = false,
                .sequence = UINT64_MAX,
                .applied = {1'700'000'000'123, 42},
                .frozen = true,
                .paths = {},
                .evaluations = {},
                .shadow = {},
                .breakers = {}};
  PathReport path;
  path.flag = "schema_v2";
  path.path = "by_status";
  path.side = Side::kNew;
  path.write = true;
  path.context = "internal";
  path.counts = {.attempts = 100, .timeouts = 1, .deadlocks = 2, .connection = 3, .other = 4};
  path.fallbacks = 5;
  path.user_errors = 6;
  for (std::uint64_t us = 1; us < 100'000'000; us = us * 3 / 2 + 1) path.latency.add(us, us % 7 + 1);
  report.paths = {path, PathReport{}};
  report.paths[1].flag = "f";
  report.paths[1].path = "p\"ü";
  report.evaluations = {{"schema_v2", "on", "SPLIT", "batch", 77}, {"f", "on", "TARGETING_MATCH", "", 1, 3}};
  report.shadow = {{"schema_v2", "by_status", 10, 1, 2}};
  report.breakers = {{"schema_v2", "by_status", true, 3, "error burst"}};
  return report;
}

TEST(Report, RoundTrip) {
  const Report report = full_report();
  const std::string text = to_json(report);
  const auto back = report_from_json(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(to_json(*back), text);
  EXPECT_EQ(back->service, "orders");
  EXPECT_EQ(back->sequence, UINT64_MAX);
  EXPECT_FALSE(back->legacy_path);
  EXPECT_TRUE(back->frozen);
  EXPECT_EQ(back->applied, report.applied);
  ASSERT_EQ(back->paths.size(), 2U);
  EXPECT_EQ(back->paths[0].side, Side::kNew);
  EXPECT_TRUE(back->paths[0].write);
  EXPECT_EQ(back->paths[0].context, "internal");
  EXPECT_EQ(back->paths[0].counts.errors(), 10U);
  EXPECT_EQ(back->paths[0].counts.attempts, 100U);
  EXPECT_EQ(back->paths[0].latency.buckets(), report.paths[0].latency.buckets());
  EXPECT_EQ(back->paths[1].path, "p\"ü");
  EXPECT_EQ(back->evaluations[0].count, 77U);
  EXPECT_EQ(back->evaluations[0].reason, "SPLIT");
  EXPECT_EQ(back->evaluations[0].rule, -1);
  EXPECT_EQ(back->evaluations[1].rule, 3);
  EXPECT_EQ(back->shadow[0].mismatches, 1U);
  EXPECT_EQ(back->breakers[0].cause, "error burst");
  EXPECT_TRUE(back->breakers[0].open);
}

TEST(Report, ARuleThatIsNoNumberIsNotKnown) {
  for (const char* rule : {"-1", "\"x\"", "1.5", "1e9", "9999999999", "null"}) {
    const auto report =
        report_from_json(with(R"("evaluations":[{"flag":"f","count":1,"rule":)" + std::string(rule) + "}]"));
    ASSERT_TRUE(report) << rule;
    EXPECT_EQ(report->evaluations[0].rule, -1) << rule;
  }
}

TEST(Report, WhatIsLeftOutHasTheCautiousMeaning) {
  const auto report =
      report_from_json(with(R"("paths":[{"flag":"f","path":"p","side":"legacy"}],"later":{})"));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->legacy_path);
  EXPECT_FALSE(report->frozen);
  EXPECT_EQ(report->paths[0].counts.attempts, 0U);
  EXPECT_EQ(report->paths[0].latency.count(), 0U);
}

TEST(Report, BadInputSaysWhatAndWhere) {
  EXPECT_EQ(refused("").code, "json.syntax");
  EXPECT_EQ(refused("[]").code, "json.type");
  EXPECT_EQ(refused("{}").code, "json.missing_key");
  EXPECT_EQ(refused(with(R"("service":"again")")).code, "json.duplicate_key");
  EXPECT_EQ(refused(with(R"("paths":{})")).code, "json.type");
  EXPECT_EQ(refused(with(R"("paths":[1])")).message, "paths[0]: expected an object, found 1");
  const Error side = refused(with(R"("paths":[{"flag":"f","path":"p","side":"old"}])"));
  EXPECT_EQ(side.code, "report.side");
  EXPECT_EQ(side.message, "paths[0]: side: expected 'legacy' or 'new', found 'old'");
  EXPECT_EQ(refused(with(R"("evaluations":[{"flag":"","count":1}])")).code, "report.name");
  EXPECT_EQ(refused(with(R"("evaluations":[{"flag":"a\nb","count":1}])")).code, "report.name");
  EXPECT_EQ(refused(with(R"("evaluations":[{"flag":"f","count":-1}])")).code, "json.range");
  EXPECT_EQ(refused(with(R"("evaluations":[{"flag":"f","count":1.5}])")).code, "json.type");
  EXPECT_EQ(refused(with(R"("evaluations":[{"flag":")" + std::string(257, 'x') + R"("}])")).code,
            "report.name");
}

TEST(Report, BadHistogramsAreRefused) {
  const auto latency = [](const std::string& buckets) {
    return with(R"("paths":[{"flag":"f","path":"p","side":"new","latency_us":)" + buckets + "}]");
  };
  EXPECT_TRUE(report_from_json(latency("[[1984,1]]")));
  EXPECT_EQ(refused(latency("[[1985,1]]")).code, "json.range");
  EXPECT_EQ(refused(latency("[[65537,1]]")).code, "json.range");
  EXPECT_EQ(refused(latency("[[1,18446744073709551615]]")).code, "json.range");
  EXPECT_EQ(refused(latency("[[1]]")).code, "report.histogram");
  EXPECT_EQ(refused(latency("[1]")).code, "json.type");
  EXPECT_EQ(refused(latency("{\"1\":2}")).code, "json.type");
}

TEST(Report, SizesAreLimited) {
  std::string rows;
  for (int i = 0; i < 6000; ++i) rows += R"({"flag":"f","path":"p"},)";
  rows.pop_back();
  EXPECT_TRUE(report_from_json(with("\"shadow\":[" + rows + "]")));
  const Error many = refused(with("\"shadow\":[" + rows + "],\"breakers\":[" + rows + "]"));
  EXPECT_EQ(many.code, "report.size");
  EXPECT_THAT(many.message, HasSubstr("10000"));
  EXPECT_EQ(refused(with("\"x\":\"" + std::string(1 << 20, 'x') + "\"")).code, "json.size");
  EXPECT_EQ(refused(with("\"x\":" + std::string(100'000, '['))).code, "json.depth");
}

}  // namespace
}  // namespace poundlock::flag
