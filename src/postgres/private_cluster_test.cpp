// Which folders of private servers the next start removes. No server is needed for it.
#include "postgres/private_cluster.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace poundlock::postgres {
namespace {

namespace fs = std::filesystem;

pid_t ended_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

class StaleClusters : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "poundlock_stale_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // A folder as a start leaves it; `postmaster` 0: no server wrote its pid.
  fs::path cluster(pid_t owner, int number, bool keep, const std::string& data, pid_t postmaster) {
    const fs::path out = folder_ / ("poundlock-pg-" + std::to_string(owner) + "-" + std::to_string(number));
    fs::create_directories(out / data);
    if (keep) std::ofstream(out / "keep").flush();
    if (postmaster > 0) std::ofstream(out / data / "postmaster.pid") << postmaster << "\n/data\n";
    return out;
  }

  fs::path folder_;
};

TEST_F(StaleClusters, AKeptFolderStaysWhileItsServerOrItsReplicaRuns) {
  const pid_t gone = ended_process();
  const auto server = cluster(gone, 0, true, "data", ::getpid());
  const auto replica = cluster(gone, 1, true, "replica", ::getpid());
  remove_stale_clusters(folder_);
  EXPECT_TRUE(fs::exists(server));
  EXPECT_TRUE(fs::exists(replica));
}

TEST_F(StaleClusters, AKeptFolderGoesOnceItsServersHaveEnded) {
  const pid_t gone = ended_process();
  const auto ended = cluster(gone, 0, true, "data", ended_process());
  const auto never = cluster(gone, 1, true, "data", 0);
  remove_stale_clusters(folder_);
  EXPECT_FALSE(fs::exists(ended));
  EXPECT_FALSE(fs::exists(never));
}

TEST_F(StaleClusters, WithoutTheMarkerOnlyTheOwnerCounts) {
  const auto killed = cluster(ended_process(), 0, false, "data", ::getpid());
  const auto ours = cluster(::getpid(), 0, false, "data", 0);
  const auto other = folder_ / "somebody-else";
  fs::create_directories(other);
  remove_stale_clusters(folder_);
  EXPECT_FALSE(fs::exists(killed));
  EXPECT_TRUE(fs::exists(ours));
  EXPECT_TRUE(fs::exists(other));
}

}  // namespace
}  // namespace poundlock::postgres
