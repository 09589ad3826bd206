// A demo that is kept outlives whoever started it, and its stop script leaves nothing of it.
#include "cli/demo/keep.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/demo_fixture.h"

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

struct Ended {
  int status = -1;
  std::string out;
};

Ended sh(const std::string& command) {
  Ended ended;
  FILE* pipe = ::popen(("{ " + command + "; } 2>&1").c_str(), "r");
  if (!pipe) return ended;
  std::array<char, 4096> buffer{};
  while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    ended.out.append(buffer.data(), got);
  ended.status = ::pclose(pipe);
  return ended;
}

// Command lines that name `text`; a process that has ended has none.
std::string processes_with(const std::string& text) {
  std::string out;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ostringstream text_of;
    text_of << std::ifstream(entry.path() / "cmdline").rdbuf();  // of one that ends meanwhile: nothing
    std::string line = text_of.str();
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (line.find(text) != std::string::npos) out += line + "\n";
  }
  return out;
}

class KeepTest : public DemoFixture {};

TEST_F(KeepTest, TheStopScriptLeavesNothing) {
  cli::DemoOptions options = small();
  options.keep = true;
  start_world(options);
  ASSERT_TRUE(world_);
  ASSERT_TRUE(world_->write_stop());
  const std::string directory = world_->directory();
  const std::string cluster = world_->cluster().directory();
  const std::string password = world_->variables().at("DEMO_PASSWORD");
  world_.reset();

  EXPECT_THAT(processes_with(directory), AllOf(HasSubstr("poundlockd"), HasSubstr("orders_app")));
  EXPECT_THAT(processes_with(cluster), AllOf(HasSubstr(cluster + "/data"), HasSubstr(cluster + "/replica")));
  EXPECT_EQ(sh(". " + directory + "/environment && printenv DEMO_PASSWORD").out, password + "\n");
  EXPECT_EQ(fs::status(directory + "/environment").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);

  const Ended stopped = sh(directory + "/stop");
  EXPECT_EQ(stopped.status, 0);
  EXPECT_EQ(stopped.out,
            "stopped orders_app\nstopped poundlockd\nstopped the replica\nstopped PostgreSQL\nremoved " +
                directory + " and " + cluster + "\n");
  EXPECT_EQ(processes_with(directory), "");
  EXPECT_EQ(processes_with(cluster), "");
  EXPECT_FALSE(fs::exists(directory));
  EXPECT_FALSE(fs::exists(cluster));
}

TEST_F(KeepTest, TheStopScriptLeavesAloneWhatIsNotTheDemosAnyMore) {
  const std::string directory = testing::TempDir() + "/keep_test_directory";
  const std::string cluster = testing::TempDir() + "/keep_test_cluster";
  fs::create_directories(directory);
  fs::create_directories(cluster + "/data");
  std::ofstream(cluster + "/data/postmaster.pid") << ::getpid() << "\n";
  ASSERT_TRUE(cli::write_keep_files({directory, cluster, ::getpid(), ::getpid()}, {}));
  const Ended stopped = sh(directory + "/stop");  // and this process still runs
  EXPECT_EQ(stopped.status, 0);
  EXPECT_EQ(stopped.out, "removed " + directory + " and " + cluster + "\n");
}

}  // namespace
}  // namespace poundlock::scenario
