// `poundlock dry-run` in this process, or as one that can be killed, on a shadow called "given".
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "cli/app.h"
#include "support/rollout_fixture.h"
#include "support/wait.h"

namespace poundlock::scenario {

namespace bj = boost::json;
namespace fs = std::filesystem;

inline constexpr const char* kStatusRollout = R"(rollout: status
change:
  - change_column:
      table: public.orders
      from: status
      to: {name: new_status, type: varchar(32)}
      up: status
      down: new_status
feature_flags:
  orders_status: {steps: [1, 100]}
)";

class DryRunTest : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    for (const char* name :
         {"given", "given_poundlock_copy", "given_poundlock_copy_intent", "given_poundlock_shadow"})
      must(std::string("DROP DATABASE IF EXISTS ") + name + " WITH (FORCE)");
    must("CREATE DATABASE given");
    must("COMMENT ON DATABASE given IS 'poundlock.shadow = on'");
    auto inside = std::move(*database_->sibling("given")->connect());
    must_on(*inside, "CREATE TABLE public.orders (id bigint PRIMARY KEY, status text, amount int)");
    must_on(*inside, "INSERT INTO public.orders SELECT g, 's' || g % 5, g FROM generate_series(1, 20000) g");
    must_on(*inside, "CREATE TABLE public.\"Order Items\" (id bigint PRIMARY KEY, \"orderId\" bigint)");
    must_on(*inside, "ANALYZE");
    std::string pattern = (fs::temp_directory_path() / "poundlock_dry_run_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    fs::remove_all(folder_);
    RolloutFixture::TearDown();
  }
  std::string write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
    return name;
  }
  std::string shadow() { return cluster_->conninfo("app", "given"); }

  int run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    arguments.insert(arguments.begin(), "dry-run");
    cli::Context context{.out = out_,
                         .err = err_,
                         .clock = clock_,
                         .environment_variable = [](std::string_view) { return std::nullopt; },
                         .directory = folder_,
                         .program = {}};
    return cli::run(context, arguments);
  }
  bj::object json(std::vector<std::string> arguments, int wanted) {
    arguments.insert(arguments.end(), {"--output", "json"});
    EXPECT_EQ(run(std::move(arguments)), wanted) << out_.str() << err_.str();
    auto parsed = json::parse(out_.str(), "out");
    EXPECT_TRUE(parsed) << out_.str();
    return parsed ? parsed->as_object() : bj::object{};
  }
  static bool holds(const bj::value& array, std::string_view text) {
    return std::any_of(array.as_array().begin(), array.as_array().end(),
                       [&](const bj::value& one) { return one.as_string() == text; });
  }
  static std::string mode_of(const bj::value& statement, std::string_view relation) {
    for (const auto& lock : statement.at("locks").as_array())
      if (lock.at("relation").as_string() == relation) return std::string(lock.at("mode").as_string());
    return "";
  }
  pid_t spawn(std::vector<std::string> words) {
    const std::string program = std::string(POUNDLOCK_BINARY_DIR) + "/poundlock";
    words.insert(words.begin(), {program, "dry-run"});
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const std::string err = (folder_ / "err").string();
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    pid_t child = -1;
    EXPECT_EQ(posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
  }
  // The sessions of a killed run end by themselves; until then the shadow is somebody's.
  void nobody_in_given() {
    EXPECT_TRUE(wait_until(
        [&] { return row("SELECT count(*) FROM pg_stat_activity WHERE datname = 'given'") == "0"; }));
  }
  bool left_behind() { return row("SELECT count(*) FROM pg_database WHERE datname LIKE 'given_%'") != "0"; }
  std::string columns() {
    auto inside = std::move(*database_->sibling("given")->connect());
    return must_on(*inside,
                   "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = "
                   "'public.orders'::regclass AND attnum > 0 AND NOT attisdropped")
        .rows[0][0]
        .value_or("");
  }

  fs::path folder_;
  std::ostringstream out_, err_;
};

}  // namespace poundlock::scenario
