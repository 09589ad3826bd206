// From base to engine the code is a function of what it is handed: it reads no clock, waits for nothing,
// starts no thread, draws no random number of its own, and talks to no terminal, environment or socket.
// This is what lets one seed replay a whole rollout.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "source_tree.h"

namespace arch {
namespace {

// The layers that the rule holds for; those above may do as they need.
constexpr std::array<std::string_view, 9> kPure{"base",   "flag",    "schema", "lint",  "migration",
                                                "change", "rollout", "ports",  "engine"};

// libpg_query recurses deeply, so the parser runs on a thread whose stack is large enough.
constexpr std::string_view kMayHideAThread = "src/schema/large_stack.cpp";

bool is_pure(std::string_view path) {
  // Tests of a pure layer may use threads to show that something is thread-safe.
  if (!path.starts_with("src/") || !is_cpp(path) || is_test(path)) return false;
  const std::string_view layer = path.substr(4, path.find('/', 4) - 4);
  return std::find(kPure.begin(), kPure.end(), layer) != kPure.end();
}

struct Ban {
  const char* reason;
  std::regex pattern;
  bool thread = false;
};

// A call of a free function: the name is neither a member nor part of a longer name.
std::regex call(const std::string& names) {
  return std::regex("(^|[^\\w.>])(" + names + ")\\s*\\(");
}

const std::vector<Ban>& bans() {
  static const std::vector<Ban> all{
      {"reads a clock", std::regex(R"((\w+_clock\s*::\s*now|\b(steady|high_resolution)_clock\b))")},
      {"reads a clock", call("gettimeofday|clock_gettime|timespec_get|clock")},
      {"reads a clock", std::regex(R"((^|[^\w.>])time\s*\(\s*(nullptr|NULL|0|&))")},
      {"waits", std::regex(R"(\b(sleep_for|sleep_until|usleep|nanosleep)\b)")},
      {"waits", std::regex(R"(((^|[^\w])::sleep\s*\(|\bsleep\s*\(\s*\d))")},
      {"starts a thread", std::regex(R"((std::(thread|jthread|async)\b|\bpthread_create\b))"), true},
      {"draws a random number", std::regex(R"(\brandom_device\b)")},
      {"draws a random number", call("rand|srand|random|drand48|arc4random|getrandom|std::rand|std::srand")},
      {"draws a random number",
       std::regex(R"(\bstd::(mt19937(_64)?|default_random_engine)\s+\w+\s*(;|\{\s*\}))")},
      {"reads the environment", std::regex(R"(\b(secure_)?getenv\s*\()")},
      {"writes to the terminal", std::regex(R"(\bstd::(cout|cerr|clog)\b|\bfmt::print\s*\()")},
      {"writes to the terminal",
       call("printf|std::printf|fprintf|std::fprintf|puts|std::puts|putchar|perror")},
  };
  return all;
}

Findings check_calls(const File& file) {
  Findings found;
  const std::string code = stripped(file.text, Keep::kCodeOnly);
  for (const Ban& ban : bans()) {
    if (ban.thread && file.path == kMayHideAThread) continue;
    append(found, matches(file, code, ban.pattern, ban.reason));
  }
  return found;
}

Findings check_libraries(const File& file) {
  static const std::regex banned(
      "^(libpq-fe\\.h|libpq/|sqlite3\\.h|boost/(asio|beast)|grpc|spdlog/|CLI/|curl/|prometheus/|sys/"
      "socket\\.h)");
  Findings found;
  for (const Include& include : includes_of(file)) {
    if (std::regex_search(include.path, banned)) {
      found.push_back(finding(file, include.line, "a library for the layers above engine: " + include.path));
    }
  }
  return found;
}

TEST(Purity, UpToEngineNothingActsOnItsOwn) {
  Findings found;
  const auto files = files_where(is_pure);
  ASSERT_FALSE(files.empty());
  for (const File& file : files) append(found, check_calls(file));
  EXPECT_TRUE(found.empty()) << joined(found);
}

TEST(Purity, UpToEngineNothingIncludesATransportOrAStore) {
  Findings found;
  for (const File& file : files_where(is_pure)) append(found, check_libraries(file));
  EXPECT_TRUE(found.empty()) << joined(found);
}

// From here on: the checks can fail.

class PurityCheck : public ::testing::TestWithParam<const char*> {};

TEST_P(PurityCheck, FindsTheCall) {
  EXPECT_EQ(check_calls({"src/engine/a.cpp", GetParam()}).size(), 1U) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(
    EachBan, PurityCheck,
    ::testing::Values("auto t = std::chrono::system_clock::now();", "clock_gettime(CLOCK_REALTIME, &ts);",
                      "auto t = time(nullptr);", "::gettimeofday(&tv, nullptr);",
                      "std::this_thread::sleep_for(1ms);", "  ::sleep(1);", "std::thread worker(run);",
                      "auto f = std::async(run);", "std::random_device seed;", "int x = rand() % 6;",
                      "std::mt19937_64 engine;", "const char* home = std::getenv(\"HOME\");",
                      "std::cout << 1;", "printf(\"x\");", "fmt::print(\"x\");"));

TEST(PurityCheckSamples, LeavesInjectedOnesAlone) {
  const char* good =
      "virtual void sleep(Millis duration) = 0;\n"
      "clock.sleep(Millis{5}); auto at = clock->now(); snprintf(buffer, 4, \"x\");\n"
      "// std::thread is not used: time(nullptr)\n"
      "auto sql = \"SELECT random(), clock_timestamp()\"; auto r = source.random(); max_time(0);\n"
      "std::mt19937_64 engine(seed);\n";
  EXPECT_EQ(check_calls({"src/engine/a.cpp", good}), Findings{});
}

TEST(PurityCheckSamples, OnlyTheParserHidesAThread) {
  EXPECT_TRUE(check_calls({std::string(kMayHideAThread), "std::thread t(run);"}).empty());
  EXPECT_EQ(check_calls({std::string(kMayHideAThread), "auto t = time(nullptr);"}).size(), 1U);
}

TEST(PurityCheckSamples, FindsTheLibrary) {
  EXPECT_EQ(check_libraries({"src/engine/a.cpp", "#include <libpq-fe.h>\n"}),
            Findings{"src/engine/a.cpp:1: a library for the layers above engine: libpq-fe.h"});
  EXPECT_EQ(check_libraries({"src/engine/a.cpp", "#include <boost/asio/ip/tcp.hpp>\n"}).size(), 1U);
  EXPECT_TRUE(check_libraries({"src/engine/a.cpp", "#include <boost/json.hpp>\n"}).empty());
}

TEST(PurityCheckSamples, KnowsThePureLayers) {
  EXPECT_TRUE(is_pure("src/engine/run.cpp"));
  EXPECT_TRUE(is_pure("src/rollout/gates/lag.cpp"));
  EXPECT_FALSE(is_pure("src/postgres/session.cpp"));
  EXPECT_FALSE(is_pure("src/base/time_test.cpp"));
}

}  // namespace
}  // namespace arch
