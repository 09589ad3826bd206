// Runs a command line in tests: a folder of its own, a clock that advances when slept on, captured output.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "cli/app.h"

namespace poundlock::cli {

class TestClock final : public Clock {
 public:
  TimePoint now() const override { return {1'700'000'000'000 + elapsed_}; }
  TimePoint steady() const override { return {1'000 + elapsed_}; }
  void sleep(Millis duration) override { elapsed_ += duration.count(); }
  std::int64_t elapsed() const { return elapsed_; }

 private:
  std::int64_t elapsed_ = 0;
};

struct Ran {
  int code = 0;
  std::string out, err;
};

class CommandLineTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "poundlock_cli_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Ran run(const std::vector<std::string>& arguments) {
    std::ostringstream out, err;
    Context context{out,
                    err,
                    clock_,
                    [this](std::string_view name) -> std::optional<std::string> {
                      const auto found = variables_.find(std::string(name));
                      return found == variables_.end() ? std::nullopt : std::optional(found->second);
                    },
                    folder_,
                    folder_ / "poundlock"};
    const int code = cli::run(context, arguments);
    return {code, out.str(), err.str()};
  }
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  std::string read(const std::string& name) {
    std::ifstream in(folder_ / name);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }

  std::filesystem::path folder_;
  std::map<std::string, std::string> variables_;
  TestClock clock_;
};

}  // namespace poundlock::cli
