// `poundlock demo` itself, as a person starts it: a small one ends well, and says so in one JSON object.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <string>

namespace poundlock::scenario {
namespace {

namespace bj = boost::json;

double number(const bj::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  EXPECT_TRUE(value && value->is_number()) << key;
  return value && value->is_number() ? value->to_number<double>() : -1;
}

TEST(DemoTest, ASmallDemoEndsWithAnObjectThatSaysOk) {
  FILE* pipe = ::popen(POUNDLOCK_BINARY_DIR "/poundlock demo --rows 5000 --output json", "r");
  ASSERT_NE(pipe, nullptr);
  std::string out;
  std::array<char, 4096> buffer{};
  while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), got);
  const int status = ::pclose(pipe);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << out;

  while (out.ends_with('\n')) out.pop_back();
  const std::string last = out.substr(out.rfind('\n') == std::string::npos ? 0 : out.rfind('\n') + 1);
  boost::system::error_code error;
  const auto value = bj::parse(last, error);
  ASSERT_TRUE(!error && value.is_object()) << out;
  const bj::object& summary = value.as_object();
  for (const char* key : {"ok", "phases", "application", "rollback", "backfill", "verify", "gates",
                          "excluded_context_reads_new", "legacy_column_exists"})
    ASSERT_TRUE(summary.contains(key)) << key << ": " << last;
  EXPECT_TRUE(summary.at("ok").as_bool()) << last;
  EXPECT_FALSE(summary.at("legacy_column_exists").as_bool());
  EXPECT_EQ(number(summary, "excluded_context_reads_new"), 0);

  EXPECT_EQ(summary.at("phases").as_array().size(), 4U);
  for (const auto& phase : summary.at("phases").as_array())
    EXPECT_GT(number(phase.as_object(), "seconds"), 0);
  const auto& application = summary.at("application").as_object();
  EXPECT_GT(number(application, "statements"), 0);
  EXPECT_EQ(number(application, "errors"), 0);
  EXPECT_LE(number(application, "max_stall_ms"), 50) << "a statement waited behind one of our sessions";
  const auto& rollback = summary.at("rollback").as_object();
  EXPECT_TRUE(rollback.at("cause").is_string());
  EXPECT_GT(number(rollback, "detected_ms"), 0);
  EXPECT_LT(number(rollback, "effective_ms"), 30'000);
  EXPECT_EQ(number(rollback, "lost_writes"), 0);
  const auto& backfill = summary.at("backfill").as_object();
  EXPECT_GT(number(backfill, "rows"), 0);
  EXPECT_GT(number(backfill, "rows_per_second"), 0);
  EXPECT_GT(number(backfill, "wal_bytes_per_row"), 0);
  const auto& verify = summary.at("verify").as_object();
  EXPECT_GE(number(verify, "rows"), 5000);
  EXPECT_EQ(number(verify, "mismatches"), 0);
  ASSERT_FALSE(summary.at("gates").as_array().empty());
  for (const auto& gate : summary.at("gates").as_array())
    for (const char* key : {"name", "value", "limit", "verdict"}) EXPECT_TRUE(gate.as_object().contains(key));
}

}  // namespace
}  // namespace poundlock::scenario
