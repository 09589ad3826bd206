// What is particular to the SQLite store: the lock, foreign, newer and damaged files, the triggers.
#include "store/sqlite_store.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "store/sqlite_fixture.h"

namespace poundlock::store {
namespace {

using testing::HasSubstr;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

TEST(SqliteStore, ASecondOpenIsRefusedWithTheHoldersPid) {
  SqliteFixture fixture;
  auto first = fixture.open();
  ASSERT_TRUE(first) << first.error().to_string();
  const auto second = fixture.open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().disposition, Disposition::kConflict);
  EXPECT_EQ(second.error().code, "store.locked");
  EXPECT_THAT(second.error().message, HasSubstr("process " + std::to_string(getpid())));
  first->reset();
  EXPECT_TRUE(fixture.open());
}

TEST(SqliteStore, AnotherNameOfTheFileMeetsTheSameLock) {
  SqliteFixture fixture;
  auto first = fixture.open();
  ASSERT_TRUE(first);
  std::filesystem::create_symlink(fixture.path(), fixture.path() + ".alias");
  const auto second = open_sqlite({fixture.path() + ".alias", Millis{200}, 0});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "store.locked");
}

TEST(SqliteStore, ACommitSurvivesAKilledProcess) {
  SqliteFixture fixture;
  const pid_t child = fork();
  if (child == 0) {
    auto store = fixture.open();
    const bool good = store && (*store)->commit({{"k", "kept", 0}}, {});
    kill(getpid(), good ? SIGKILL : SIGABRT);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  auto store = fixture.open();
  ASSERT_TRUE(store) << store.error().to_string();
  EXPECT_EQ((*(*store)->get("k"))->value, "kept");
}

TEST(SqliteStore, RefusesANewerFormatAndLeavesItAlone) {
  SqliteFixture fixture;
  ASSERT_TRUE(fixture.open());
  ASSERT_TRUE(fixture.run("PRAGMA user_version = 7"));
  const auto opened = fixture.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "store.newer_version");
  EXPECT_THAT(opened.error().message, HasSubstr("format 7"));
}

TEST(SqliteStore, RefusesAFileOfAnotherProgramAndLeavesItAlone) {
  SqliteFixture fixture;
  ASSERT_TRUE(fixture.run("CREATE TABLE theirs (x)"));
  const std::string before = read_file(fixture.path());
  const auto opened = fixture.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "store.foreign");
  EXPECT_EQ(read_file(fixture.path()), before);
}

TEST(SqliteStore, RefusesAFileThatIsNoDatabase) {
  SqliteFixture fixture;
  write_file(fixture.path(), std::string(8'192, 'x'));
  const auto opened = fixture.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "store.corrupt");
  EXPECT_THAT(opened.error().hint, HasSubstr("restore"));
}

TEST(SqliteStore, RefusesADamagedFile) {
  SqliteFixture fixture;
  {
    auto store = fixture.open();
    ASSERT_TRUE(store);
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE((*store)->commit({{"key" + std::to_string(i), std::string(3'000, 'v'), 0}}, {}));
    }
  }
  std::string bytes = read_file(fixture.path());
  ASSERT_GT(bytes.size(), 60'000U);
  for (std::size_t page = 4'096; page < bytes.size(); page += 4'096)
    bytes.replace(page, 64, std::string(64, '\x5a'));
  write_file(fixture.path(), bytes);
  const auto opened = fixture.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "store.corrupt");
}

TEST(SqliteStore, TheAuditTableOnlyGrows) {
  SqliteFixture fixture;
  {
    auto store = fixture.open();
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->commit({}, {{0, TimePoint{1}, "a", "b", "c", "d", "{}", ""}}));
  }
  EXPECT_FALSE(fixture.run("UPDATE audit SET why = 'x'"));
  EXPECT_FALSE(fixture.run("DELETE FROM audit"));
  EXPECT_FALSE(fixture.run("INSERT OR REPLACE INTO audit VALUES (1, 1, 'a', 'b', 'c', 'd', '{}', 'h')"));
  EXPECT_FALSE(fixture.run("INSERT INTO audit VALUES (3, 1, 'a', 'b', 'c', 'd', '{}', 'h')"));
}

TEST(SqliteStore, TheFileIsForItsOwnerOnly) {
  SqliteFixture fixture;
  auto store = fixture.open();
  ASSERT_TRUE(store);
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    struct stat info {};
    ASSERT_EQ(stat((fixture.path() + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600U) << suffix;
  }
}

TEST(SqliteStore, AFolderThatIsNotThereIsNamed) {
  const auto opened = open_sqlite({"/nonexistent/folder/state.db", Millis{200}, 0});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "store.path");
  EXPECT_THAT(opened.error().message, HasSubstr("/nonexistent/folder"));
}

TEST(SqliteStore, AForeignLockIsWaitedForABoundedTime) {
  SqliteFixture fixture;
  auto store = fixture.open();
  ASSERT_TRUE(store);
  auto other = Sqlite::open(fixture.path(), false, Millis{200});
  ASSERT_TRUE(other);
  ASSERT_TRUE(other->run("BEGIN IMMEDIATE"));
  const auto done = (*store)->commit({{"k", "x", 0}}, {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "store.busy");
  ASSERT_TRUE(other->run("ROLLBACK"));
  EXPECT_TRUE((*store)->commit({{"k", "x", 0}}, {}));
}

TEST(AuditHash, MovesWithEveryField) {
  const ports::AuditEntry entry{1, TimePoint{2}, "ab", "c", "d", "e", "f", ""};
  auto moved = entry;
  moved.who = "a";
  moved.what = "bc";
  EXPECT_NE(audit_hash(kAuditGenesis, entry), audit_hash(kAuditGenesis, moved));
  EXPECT_NE(audit_hash(kAuditGenesis, entry), audit_hash(std::string(64, '1'), entry));
  EXPECT_EQ(audit_hash(kAuditGenesis, entry), audit_hash(kAuditGenesis, entry));
}

}  // namespace
}  // namespace poundlock::store
