#include "support/demo_fixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "postgres/catalog_loader.h"
#include "schema/catalog.h"

namespace poundlock::scenario {
namespace {

constexpr Millis kPoll{20};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

}  // namespace

cli::DemoOptions DemoFixture::small() {
  cli::DemoOptions options;
  options.rows = 5'000;
  options.speed = 200'000;
  options.rate = 300;
  options.readers = 4;
  return options;
}

std::string DemoFixture::small_rollout() {
  std::string text = replaced(cli::demo_rollout(), "steps: [1, 5, 25, 50, 100]", "steps: [25, 100]");
  text = replaced(text, "initial_percentage: 1", "initial_percentage: 25");
  return replaced(text, "gates: {all: {min_samples: 20}}",
                  "gates: {all: {min_samples: 20}, latency_p95: {limit: 100}, latency_p99: {limit: 100}, "
                  "wal_per_write: {limit: 2}}");
}

void DemoFixture::start_world(const cli::DemoOptions& options) {
  context_ = std::make_unique<cli::Context>(
      cli::Context{out_, err_, clock_,
                   [](std::string_view name) -> std::optional<std::string> {
                     const auto found = variables_.find(std::string(name));
                     return found == variables_.end() ? std::nullopt : std::optional(found->second);
                   },
                   "/", std::string(POUNDLOCK_BINARY_DIR) + "/poundlock"});
  auto started = cli::World::start(*context_, options);
  ASSERT_TRUE(started) << started.error().to_string();
  world_ = std::move(*started);
  variables_ = world_->variables();
}

void DemoFixture::TearDown() {
  if (world_ && HasFailure()) {
    std::cerr << "the end of poundlockd's log:\n"
              << cli::tail_of_file(world_->directory() + "/poundlockd.log", 4'000)
              << "\nthe end of orders_app's:\n"
              << cli::tail_of_file(world_->directory() + "/orders_app.log") << "\n";
  }
  world_.reset();
}

Said DemoFixture::poundlock(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  cli::Context context{out, err, clock_, context_->environment_variable, "/", context_->program};
  std::vector<std::string> all{"--who", "tester"};
  if (std::find(arguments.begin(), arguments.end(), "--config") == arguments.end())
    all.insert(all.end(), {"--config", world_->directory() + "/poundlock.yaml"});
  all.insert(all.end(), arguments.begin(), arguments.end());
  const int code = cli::run(context, all);
  return {code, out.str(), err.str()};
}

std::string DemoFixture::write_rollout(const std::string& text, const std::string& name) {
  const std::string file = world_->directory() + "/rollouts/" + name + ".yaml";
  std::ofstream(file) << text;
  return file;
}

Said DemoFixture::start_rollout(const std::string& text, const std::string& name) {
  return poundlock({"start", write_rollout(text, name), "--speed", fmt::format("{}", small().speed)});
}

bj::object DemoFixture::view(const std::string& name) {
  auto api = world_->api();
  if (!api) return {};
  auto answer = api->get("/v1/rollouts/" + name);
  return answer ? std::move(*answer) : bj::object{};
}

void DemoFixture::order(const std::string& verb, const std::string& subject) {
  std::vector<std::string> arguments{verb, cli::kDemoRollout, "--why", "the test asks for it"};
  if (subject == "restore")
    arguments.emplace_back("--restore");
  else if (verb == "rollback" && !subject.empty())
    arguments.insert(arguments.end(), {"--to", subject});
  else if (!subject.empty())
    arguments.push_back(subject);
  const Said said = poundlock(arguments);
  EXPECT_EQ(said.code, 0) << verb << " " << subject << ": " << said.err;
}

bool DemoFixture::wait_for(const std::string& what, const std::function<bool()>& holds, Millis limit) {
  const TimePoint until = clock_.steady() + limit;
  while (clock_.steady() < until) {
    if (holds()) return true;
    clock_.sleep(kPoll);
  }
  ADD_FAILURE() << "waited in vain until " << what << "; the rollout says: " << bj::serialize(view());
  return false;
}

bool DemoFixture::wait_for_mode(const std::string& mode, Millis limit) {
  return wait_for(
      "the mode is " + mode, [&] { return cli::text_at(view(), "mode") == mode; }, limit);
}

bool DemoFixture::go_on(const std::string& what, const Condition& until, bool drop, Millis limit) {
  const TimePoint end = clock_.steady() + limit;
  bj::object seen;
  while (clock_.steady() < end) {
    seen = view();
    if (until(seen)) return true;
    const std::string mode = cli::text_at(seen, "mode");
    const std::string item = cli::text_at(seen, "item");
    const bool waits = mode == "running" || (mode == "paused" && cli::bool_at(seen, "paused_by_gate"));
    if (!waits) break;
    if (item == "contract.approve_release") order("approve", "release");
    if (item == "contract.approve_drop" && drop) order("approve", "drop");
    if (item == "contract.closing" && !new_build_) {
      new_build_ = true;
      world_->stop_app();
      if (const auto started = world_->start_app("v2-new-only", false); !started) break;
    }
    clock_.sleep(kPoll);
  }
  ADD_FAILURE() << "waited in vain until " << what << "; the rollout says: " << bj::serialize(seen);
  return false;
}

std::vector<std::vector<std::string>> DemoFixture::query(const std::string& sql) {
  std::vector<std::vector<std::string>> out;
  auto session = world_->owner();
  EXPECT_TRUE(session) << session.error().to_string();
  if (!session) return out;
  const auto rows = (*session)->run(sql);
  EXPECT_TRUE(rows) << sql << ": " << rows.error().to_string();
  if (!rows) return out;
  for (const auto& row : rows->rows) {
    auto& cells = out.emplace_back();
    for (const auto& cell : row) cells.push_back(cell.value_or("<null>"));
  }
  return out;
}

std::string DemoFixture::value(const std::string& sql) {
  const auto rows = query(sql);
  return rows.empty() || rows[0].empty() ? "nothing" : rows[0][0];
}

std::string DemoFixture::fingerprint() {
  auto session = world_->owner();
  EXPECT_TRUE(session) << session.error().to_string();
  if (!session) return "";
  const auto catalog = postgres::load_catalog(**session);
  EXPECT_TRUE(catalog) << catalog.error().to_string();
  if (!catalog) return "";
  schema::FingerprintOptions options;
  options.column_order = true;
  options.ignore_schemas = {"poundlock"};
  return schema::fingerprint(*catalog, options).text;
}

void DemoFixture::expect_journals_kept(const std::string& column) {
  auto session = world_->owner();
  ASSERT_TRUE(session) << session.error().to_string();
  const auto check = cli::check_journals(**session, world_->journal(), column);
  ASSERT_TRUE(check) << check.error().to_string();
  EXPECT_GT(check->rows, 0U);
  EXPECT_EQ(check->lost, 0U) << check->first;
}

}  // namespace poundlock::scenario
