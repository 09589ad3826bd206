// A shadow whose disk is full: on a tablespace of a few megabytes, a file system that only root may mount.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "cli/app.h"
#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ShadowDiskTest : public RolloutFixture {
 protected:
  // What is mounted is seen by us and our server alone, and goes with us.
  static void SetUpTestSuite() {
    own_mounts_ =
        ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    if (own_mounts_) RolloutFixture::SetUpTestSuite();
  }
  void SetUp() override {
    if (!own_mounts_) GTEST_SKIP() << "SKIPPED: only root may mount a small file system";
    RolloutFixture::SetUp();
    std::string pattern = (fs::temp_directory_path() / "poundlock_disk_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::permissions(folder_, fs::perms::owner_all | fs::perms::others_exec | fs::perms::group_exec);
    const std::string disk = folder_ / "disk";
    fs::create_directory(disk);
    struct stat server {};
    ASSERT_EQ(::stat(cluster_->directory().c_str(), &server), 0);
    const std::string options = "size=24m,mode=0700,uid=" + std::to_string(server.st_uid);
    if (::mount("none", disk.c_str(), "tmpfs", 0, options.c_str()) != 0)
      GTEST_SKIP() << "SKIPPED: a small file system cannot be mounted here";
    mounted_ = true;
    const auto root = open("postgres");
    must_on(*root, "CREATE TABLESPACE small LOCATION '" + disk + "'");
    must_on(*root, "CREATE DATABASE given OWNER app TABLESPACE small");
    must_on(*root, "COMMENT ON DATABASE given IS 'poundlock.shadow = on'");
    must("CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text)");
    must("INSERT INTO shop.orders SELECT g, repeat('x', 200) FROM generate_series(1, 100000) g");
    must("ANALYZE shop.orders");
  }
  void TearDown() override {
    if (mounted_) {
      // The checkpoint before DROP DATABASE writes what a full disk has no room for.
      EXPECT_EQ(::mount("none", (folder_ / "disk").c_str(), nullptr, MS_REMOUNT, "size=128m"), 0);
      const auto root = open("postgres");
      must_on(*root, "DROP DATABASE IF EXISTS given WITH (FORCE)");
      must_on(*root, "DROP TABLESPACE small");
      EXPECT_EQ(::umount2((folder_ / "disk").c_str(), MNT_DETACH), 0);
    }
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  int dry_run(const std::string& sql, std::vector<std::string> arguments, std::string shadow = {}) {
    std::ofstream(folder_ / "a.sql") << sql;
    out_.str("");
    err_.str("");
    arguments.insert(arguments.begin(), "dry-run");
    arguments.insert(
        arguments.end(),
        {"--shadow", shadow.empty() ? cluster_->conninfo("app", "given") : shadow, "--no-queue", "a.sql"});
    cli::Context context{.out = out_,
                         .err = err_,
                         .clock = clock_,
                         .environment_variable = [](std::string_view) { return std::nullopt; },
                         .directory = folder_,
                         .program = {}};
    return cli::run(context, arguments);
  }
  std::unique_ptr<ports::Session> inside() { return std::move(*database_->sibling("given")->connect()); }

  static inline bool own_mounts_ = false;
  fs::path folder_;
  bool mounted_ = false;
  std::ostringstream out_, err_;
};

TEST_F(ShadowDiskTest, ASampleThatDoesNotFitIsToldAndTakenAway) {
  const std::string sql = "ALTER TABLE shop.orders ADD COLUMN a int;\n";
  EXPECT_EQ(dry_run(sql, {"--database-url", cluster_->conninfo(), "--rows", "100000"}), 2) << out_.str();
  EXPECT_THAT(err_.str(), HasSubstr("No space left on device"));
  EXPECT_THAT(err_.str(), HasSubstr("--rows"));
  EXPECT_EQ(must_on(*inside(),
                    "SELECT count(*) FROM pg_tables WHERE schemaname IN ('shop', 'public', "
                    "'poundlock_filled')")
                .rows[0][0],
            "0");
  EXPECT_EQ(row("SELECT count(*), count(note) FROM shop.orders"), "100000|100000");
  // With fewer rows it fits.
  EXPECT_EQ(dry_run(sql, {"--database-url", cluster_->conninfo(), "--rows", "1000"}), 0) << err_.str();
}

// DROP DATABASE begins with a checkpoint, for which nobody's pages may lie on a full disk.
TEST_F(ShadowDiskTest, ACopyThatCannotBeDroppedIsNamedAndTheNextRunTakesItAway) {
  const auto root = open("postgres");
  must_on(*root, "CREATE DATABASE roomy OWNER app");
  must_on(*root, "COMMENT ON DATABASE roomy IS 'poundlock.shadow = on'");
  const auto roomy = database_->sibling("roomy");
  must_on(**roomy->connect(), "CREATE TABLE public.orders (id bigint)");
  must_on(**roomy->connect(),
          "CREATE TABLE public.large AS SELECT repeat('x', 500) FROM generate_series(1, 30000)");
  must_on(*root, "CHECKPOINT");
  // Its pages have no room, which nobody hears of before they are written.
  must_on(*root, "CREATE DATABASE too_large TEMPLATE roomy TABLESPACE small");
  const std::string sql = "ALTER TABLE orders ADD COLUMN a int;\n", url = cluster_->conninfo("app", "roomy");
  EXPECT_EQ(dry_run(sql, {}, url), 3) << out_.str();
  EXPECT_THAT(err_.str(), HasSubstr("the database roomy_poundlock_copy stays: checkpoint request failed"));
  EXPECT_EQ(must_on(**roomy->connect(),
                    "SELECT count(*) FROM pg_attribute WHERE attname = 'a' AND attrelid = "
                    "'public.orders'::regclass")
                .rows[0][0],
            "0");
  EXPECT_THAT(err_.str(), HasSubstr("DROP DATABASE IF EXISTS roomy_poundlock_copy"));
  EXPECT_EQ(::mount("none", (folder_ / "disk").c_str(), nullptr, MS_REMOUNT, "size=128m"), 0);
  EXPECT_EQ(dry_run(sql, {}, url), 0) << err_.str();
  EXPECT_EQ(row("SELECT count(*) FROM pg_database WHERE datname LIKE 'roomy_%'"), "0");
  must_on(*root, "DROP DATABASE too_large");
  must_on(*root, "DROP DATABASE roomy");
}

}  // namespace
}  // namespace poundlock::scenario
