// The OpenFeature clients that applications use, unchanged, against poundlockd: every type of flag, a change
// within a second, a server that is killed and comes back, and the same answers as our own evaluator for ten
// thousand contexts.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <regex>

#include "cli/demo/process.h"
#include "flag/snapshot.h"
#include "support/sdk_client.h"
#include "support/wait.h"

namespace poundlock::scenario {
namespace {

namespace bj = boost::json;
namespace fs = std::filesystem;

constexpr Millis kChangeMax{1'000};   // until every client follows a change
constexpr Millis kAnswerMax{10'000};  // of one evaluation, also without a server
constexpr int kContexts = 10'000;
constexpr int kContextsOfrep = 2'000;  // its clients take milliseconds for each request

struct Client {
  const char* language;
  const char* mode;
  // Of `fractional` in the flag set. Python's flagd-core 2 computes version 3 whatever the set says.
  int version = 2;
  // False: its `fractional` is older than version 2 (shares of 100 by the hash's absolute value, as Java's
  // provider had it before 0.13), and puts many into another share; rules with one are left out.
  bool hashes_alike = true;
};

std::ostream& operator<<(std::ostream& out, const Client& client) {
  return out << client.language << " " << client.mode;
}

constexpr const char* kFlags =
    R"({"metadata": {"poundlock.fractional": VERSION},
"$evaluators": {"insider": {"ends_with": [{"var": "email"}, "@ours.example"]}},
"flags": {
  "switch": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"},
  "colour": {"state": "ENABLED", "variants": {"r": "red", "b": "blau-ä"}, "defaultVariant": "b"},
  "ratio": {"state": "ENABLED", "variants": {"half": 0.5, "many": 123456789}, "defaultVariant": "half"},
  "limit": {"state": "ENABLED", "variants": {"few": 7, "many": 42}, "defaultVariant": "many"},
  "theme": {"state": "ENABLED", "defaultVariant": "dark",
            "variants": {"dark": {"name": "dark", "sizes": [1, 2.5], "deep": {"a": true}}}},
  "moving": {"state": "ENABLED", "variants": {"now": "VALUE"}, "defaultVariant": "now"},

  "half": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
           "targeting": {"fractional": [["on", 50], ["off", 50]]}},
  "owner": {"state": "ENABLED", "variants": {"a": "alpha", "b": "beta", "c": "gamma"}, "defaultVariant": "a",
            "targeting": {"if": [{"!": [{"var": "email"}]}, "a",
                                 {"fractional": [{"cat": [{"var": "$flagd.flagKey"}, {"var": "email"}]},
                                                 ["a", 1], ["b", 3], ["c", 6]]}]}},
  "rollout": {"state": "ENABLED", "variants": {"legacy": 0, "new": 1}, "defaultVariant": "legacy",
              "targeting": {"if": [{"==": [{"var": "context"}, "batch"]}, "legacy",
                                   {"==": [{"var": "context"}, "internal"]}, "new",
                                   {"!!": [{"var": "targetingKey"}]},
                                   {"fractional": [{"cat": ["rollout", {"var": "targetingKey"}]},
                                                   ["new", 500], ["legacy", 9500]]},
                                   "legacy"]}},
  "version": {"state": "ENABLED", "variants": {"old": {"v": 1}, "new": {"v": 2.25}}, "defaultVariant": "old",
              "targeting": {"if": [{"sem_ver": [{"var": "version"}, ">=", "2.1.0"]}, "new", null]}},
  "region": {"state": "ENABLED", "defaultVariant": "other",
             "variants": {"eu": "eu", "us": "us", "other": "other"},
             "targeting": {"if": [{"in": [{"var": "country"}, ["DE", "FR", "SE"]]}, "eu",
                                  {"and": [{"==": [{"var": "country"}, "US"]},
                                           {"<=": [18, {"var": "age"}, 65]}]}, "us",
                                  {"$ref": "insider"}, "eu", null]}},
  "score": {"state": "ENABLED", "variants": {"1": 1.5, "2": 2.5, "3": 3.5}, "defaultVariant": "1",
            "targeting": {"if": [{"and": [{"!!": [{"var": "age"}]},
                                          {">": [{"%": [{"var": "age"}, 7]}, 4]}]}, "3",
                                 {"starts_with": [{"var": "email"}, "user1"]}, "2", "1"]}}
}})";

struct Rule {
  const char* key;
  const char* type;
  const char* fallback;  // the caller's default, in JSON; no rule answers it
  std::size_t variants;
  bool hashes = false;
};
constexpr Rule kRules[] = {{"half", "boolean", "false", 2, true}, {"owner", "string", "\"none\"", 3, true},
                           {"rollout", "integer", "-1", 2, true}, {"version", "object", R"({"none": 1})", 2},
                           {"region", "string", "\"none\"", 3},   {"score", "number", "-1.5", 3}};

std::string flags_with(int version, const std::string& moving) {
  std::string text = kFlags;
  for (const auto& [name, value] :
       {std::pair<std::string, std::string>{"VERSION", std::to_string(version)}, {"VALUE", moving}})
    text.replace(text.find(name), name.size(), value);
  return text;
}

bj::value json(const char* text) {
  return bj::parse(text);
}

// Numbers by their value: languages differ in whether 2 is a whole number.
bool same(const bj::value& a, const bj::value& b) {
  if (a.is_number() && b.is_number()) return a.to_number<double>() == b.to_number<double>();
  if (a.is_array() && b.is_array()) {
    const auto &x = a.get_array(), &y = b.get_array();
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), same);
  }
  if (a.is_object() && b.is_object()) {
    const auto &x = a.get_object(), &y = b.get_object();
    return x.size() == y.size() && std::all_of(x.begin(), x.end(), [&](const auto& member) {
             return y.contains(member.key()) && same(member.value(), y.at(member.key()));
           });
  }
  return a == b;
}

bj::object random_context(std::mt19937_64& random) {
  const auto below = [&](std::uint64_t limit) { return random() % limit; };
  bj::object out;
  if (below(10) != 0) out["targetingKey"] = fmt::format("user-{}", below(100'000'000));
  if (below(8) != 0)
    out["email"] = fmt::format("user{}@{}.example", below(5'000), below(3) ? "theirs" : "ours");
  if (below(6) != 0) out["country"] = std::array{"DE", "FR", "SE", "US", "BR"}[below(5)];
  if (below(6) != 0) out["age"] = below(100);
  if (below(3) == 0) out["context"] = std::array{"internal", "batch", "web"}[below(3)];
  if (below(4) != 0)
    out["version"] = fmt::format("{}{}.{}.{}", below(5) ? "" : "v", below(4), below(4), below(9));
  return out;
}

class SdkClientsTest : public ::testing::TestWithParam<Client> {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    if (const std::string missing = missing_client(GetParam().language); !missing.empty())
      GTEST_SKIP() << missing;
    std::string name = (fs::temp_directory_path() / "poundlock-clients-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    write_flags("before");
    start_server();
    if (!HasFatalFailure()) start_client();
  }
  void TearDown() override {
    client_.reset();
    server_ = {};
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  // As an editor or a config map does it: nobody reads half a file.
  void write_flags(const std::string& moving) {
    std::ofstream(folder_ / "flags.json.new") << flags_with(GetParam().version, moving);
    fs::rename(folder_ / "flags.json.new", folder_ / "flags.json");
  }

  std::string listen(const char* name) const {
    const auto found = ports_.find(name);
    return fmt::format("127.0.0.1:{}", found == ports_.end() ? 0 : found->second);
  }
  // On the ports that it had before, if any.
  void start_server() {
    const std::string log = folder_ / "poundlockd.log";
    fs::remove(log);
    auto started = cli::Process::spawn(
        {{std::string(POUNDLOCK_BINARY_DIR) + "/poundlockd", "--flags", folder_ / "flags.json", "--http",
          listen("http"), "--grpc-sync", listen("grpc-sync"), "--grpc-eval", listen("grpc-eval"),
          "--management", listen("management"), "--data", folder_ / "data"},
         {},
         log,
         false});
    ASSERT_TRUE(started) << started.error().to_string();
    server_ = std::move(*started);
    ASSERT_TRUE(wait_until([&] { return read_ports(log) || !server_.running(); }));
    ASSERT_TRUE(server_.running()) << cli::tail_of_file(log);
  }
  bool read_ports(const std::string& log) {
    static const std::regex line(R"(^(http|grpc-eval|management|grpc-sync) .*:(\d+)$)");
    std::ifstream in(log);
    std::string text;
    std::smatch match;
    while (std::getline(in, text))
      if (std::regex_match(text, match, line))
        ports_[match[1]] = static_cast<std::uint16_t>(std::stoi(match[2]));
    return ports_.size() == 4;
  }
  void start_client() {
    const std::string mode = GetParam().mode;
    const auto port = ports_.at(mode == "rpc" ? "grpc-eval" : mode == "ofrep" ? "http" : "grpc-sync");
    auto started = SdkClient::start(GetParam().language, mode, port);
    ASSERT_TRUE(started) << started.error().to_string();
    client_ = std::move(*started);
  }

  bj::object evaluate(const char* key, const char* type, const char* fallback, bj::object context = {}) {
    auto answer = client_->ask(
        {{"key", key}, {"type", type}, {"default", json(fallback)}, {"context", std::move(context)}},
        kAnswerMax);
    EXPECT_TRUE(answer) << answer.error().to_string();
    return answer ? *answer : bj::object{{"value", nullptr}};
  }
  std::string moving() {
    const auto value = evaluate("moving", "string", "\"default\"").at("value");
    return value.is_string() ? std::string(value.get_string()) : bj::serialize(value);
  }
  void expect_value(const char* key, const char* type, const char* fallback, const char* wanted) {
    const auto answer = evaluate(key, type, fallback);
    EXPECT_TRUE(same(answer.at("value"), json(wanted))) << key << ": " << bj::serialize(answer);
  }

  fs::path folder_;
  std::map<std::string, std::uint16_t> ports_;
  cli::Process server_;
  std::unique_ptr<SdkClient> client_;
};

TEST_P(SdkClientsTest, EvaluatesEveryTypeAndFollowsAChangeWithinASecond) {
  expect_value("switch", "boolean", "false", "true");
  expect_value("colour", "string", "\"\"", "\"blau-ä\"");
  expect_value("ratio", "number", "9", "0.5");
  expect_value("limit", "integer", "9", "42");
  expect_value("theme", "object", "{}", R"({"name": "dark", "sizes": [1, 2.5], "deep": {"a": true}})");
  const auto unknown = evaluate("nosuch", "boolean", "true");
  EXPECT_EQ(unknown.at("value"), bj::value(true));
  EXPECT_EQ(unknown.at("error"), bj::value("FLAG_NOT_FOUND"));
  const auto wrong = evaluate("half", "string", "\"x\"");  // one that no client caches
  EXPECT_EQ(wrong.at("error"), bj::value("TYPE_MISMATCH"));
  EXPECT_EQ(moving(), "before");
  for (const char* to : {"after", "before", "after"}) {
    write_flags(to);
    EXPECT_TRUE(wait_until([&] { return moving() == to; }, kChangeMax)) << to;
  }
}

TEST_P(SdkClientsTest, OutlivesAKilledServerAndFollowsTheNext) {
  EXPECT_EQ(moving(), "before");
  server_.kill_now();
  for (int i = 0; i < 3; ++i) {
    // Whoever evaluates in its own process goes on as before; the others answer the caller's default.
    const std::string meanwhile = moving();
    if (std::string(GetParam().mode) == "in-process")
      EXPECT_EQ(meanwhile, "before");
    else
      EXPECT_THAT(meanwhile, ::testing::AnyOf("before", "default"));
  }
  // What a client kept must not outlast the outage: it has heard of no change, and none comes after it.
  write_flags("meanwhile");
  start_server();
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_TRUE(wait_until([&] { return moving() == "meanwhile"; }));
  write_flags("after");
  EXPECT_TRUE(wait_until([&] { return moving() == "after"; }, kChangeMax));
}

TEST_P(SdkClientsTest, AgreesWithOurEvaluator) {
  const auto ours = flag::Snapshot::compile(flags_with(GetParam().version, ""), "flags.json");
  ASSERT_TRUE(ours) << ours.error().to_string();
  std::vector<const Rule*> rules;
  std::size_t all_variants = 0;
  for (const Rule& rule : kRules) {
    if (rule.hashes && !GetParam().hashes_alike) continue;
    rules.push_back(&rule);
    all_variants += rule.variants;
  }
  std::mt19937_64 random(20'260'801);
  std::vector<std::pair<const Rule*, bj::object>> asked;
  std::ofstream requests(folder_ / "requests");
  const int contexts = GetParam().mode == std::string("ofrep") ? kContextsOfrep : kContexts;
  for (int i = 0; i < contexts; ++i) {
    const Rule& rule = *rules[static_cast<std::size_t>(i) % rules.size()];
    asked.emplace_back(&rule, random_context(random));
    requests << bj::serialize(bj::object{{"key", rule.key},
                                         {"type", rule.type},
                                         {"default", json(rule.fallback)},
                                         {"context", asked.back().second}})
             << "\n";
  }
  requests.close();
  const auto done = client_->ask(
      {{"requests", (folder_ / "requests").string()}, {"results", (folder_ / "results").string()}},
      Millis{120'000});
  ASSERT_TRUE(done) << done.error().to_string();
  std::ifstream results(folder_ / "results");
  std::string line;
  std::map<std::string, int> variants;
  int differ = 0;
  for (const auto& [rule, context] : asked) {
    ASSERT_TRUE(std::getline(results, line));
    const auto theirs = bj::parse(line).as_object();
    const auto mine = (*ours)->evaluate(rule->key, flag::JsonAttributes(context), 0);
    ASSERT_NE(mine.variant, nullptr) << rule->key << " " << bj::serialize(context);
    ++variants[fmt::format("{}={}", rule->key, mine.variant->name)];
    const bool agree = same(theirs.at("value"), mine.variant->json) &&
                       theirs.at("variant") == bj::value(mine.variant->name) &&
                       theirs.at("reason") == bj::value(flag::to_string(mine.reason));
    if (!agree && ++differ <= 5)
      ADD_FAILURE() << rule->key << " for " << bj::serialize(context) << ": they say " << line << ", we say "
                    << mine.variant->name << " " << flag::to_string(mine.reason);
  }
  EXPECT_EQ(differ, 0) << "of " << contexts;
  EXPECT_EQ(variants.size(), all_variants) << "every variant of every rule was somebody's";
}

std::string name_of(const ::testing::TestParamInfo<Client>& info) {
  std::string out = fmt::format("{}_{}", info.param.language, info.param.mode);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

INSTANTIATE_TEST_SUITE_P(Clients, SdkClientsTest,
                         ::testing::Values(Client{"node", "in-process"}, Client{"node", "rpc"},
                                           Client{"node", "ofrep"}, Client{"python", "in-process", 3},
                                           Client{"python", "rpc"}, Client{"python", "ofrep"},
                                           Client{"java", "in-process", 2, false}, Client{"java", "rpc"},
                                           Client{"java", "ofrep"}),
                         name_of);

}  // namespace
}  // namespace poundlock::scenario
