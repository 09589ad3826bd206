// The contract of ports::StateStore, run on every store (store_contract.h).
#include "store/store_contract.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "store/sqlite_fixture.h"

namespace poundlock::store {
namespace {

using ports::AuditEntry;
using testing::ElementsAre;

AuditEntry note(const std::string& subject, const std::string& why) {
  return {0, TimePoint{1'700'000'000'000}, "operator:alice", "rollback", subject, why, R"({"p99": 12.5})",
          ""};
}

TEST_P(StoreContract, AnswersNothingForAnUnknownKey) {
  const auto got = store_->get("rollout/none");
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_FALSE(got->has_value());
}

TEST_P(StoreContract, VersionsGrowByOneWithEachWrite) {
  ASSERT_TRUE(store_->commit({{"k", "one", 0}}, {}));
  ASSERT_TRUE(store_->commit({{"k", "two", 1}}, {}));
  const auto got = store_->get("k");
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->value, "two");
  EXPECT_EQ((*got)->version, 2);
}

TEST_P(StoreContract, RefusesAStaleVersion) {
  ASSERT_TRUE(store_->commit({{"k", "one", 0}}, {}));
  for (const std::int64_t stale : {0, 2, 7}) {
    const auto done = store_->commit({{"k", "other", stale}}, {});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().disposition, Disposition::kConflict);
    EXPECT_EQ(done.error().code, "store.conflict");
  }
  const auto missing = store_->commit({{"absent", "x", 3}}, {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "store.conflict");
  EXPECT_EQ((*store_->get("k"))->value, "one");
}

TEST_P(StoreContract, ACommitIsAllOrNothing) {
  ASSERT_TRUE(store_->commit({{"b", "old", 0}}, {}));
  ASSERT_FALSE(store_->commit({{"a", "new", 0}, {"b", "new", 9}}, {note("r", "never happened")}));
  EXPECT_FALSE(store_->get("a")->has_value());
  EXPECT_EQ((*store_->get("b"))->value, "old");
  EXPECT_TRUE(store_->audit("", 10)->empty());
}

TEST_P(StoreContract, TheSameKeyTwiceInOneCommitFollowsTheVersions) {
  ASSERT_TRUE(store_->commit({{"k", "one", 0}, {"k", "two", 1}}, {}));
  EXPECT_EQ((*store_->get("k"))->version, 2);
  ASSERT_FALSE(store_->commit({{"k", "three", 2}, {"k", "four", 2}}, {}));
  EXPECT_EQ((*store_->get("k"))->value, "two");
}

TEST_P(StoreContract, KeepsBytesAsTheyAre) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  ASSERT_TRUE(store_->commit({{"bytes", bytes, 0}, {"empty", "", 0}}, {}));
  EXPECT_EQ((*store_->get("bytes"))->value, bytes);
  EXPECT_EQ((*store_->get("empty"))->value, "");
}

TEST_P(StoreContract, SurvivesReopening) {
  ASSERT_TRUE(store_->commit({{"k", "kept", 0}}, {note("orders", "p99 too slow")}));
  reopen();
  EXPECT_EQ((*store_->get("k"))->value, "kept");
  ASSERT_EQ(store_->audit("", 10)->size(), 1U);
  ASSERT_TRUE(store_->commit({{"k", "again", 1}}, {note("orders", "second")}));
  EXPECT_EQ(store_->audit("", 10)->front().sequence, 2);
}

TEST_P(StoreContract, ListsByPrefixInOrder) {
  ASSERT_TRUE(store_->commit({{"flag/b", "2", 0},
                              {"flag/a", "1", 0},
                              {"flag", "0", 0},
                              {"flagged/c", "3", 0},
                              {"flag/\xc3\xbc", "4", 0},
                              {"rollout/a", "5", 0}},
                             {}));
  const auto keys = [&](std::string_view prefix) {
    std::vector<std::string> found;
    const auto listed = store_->list(prefix);
    for (const auto& entry : listed.value()) found.push_back(entry.key);
    return found;
  };
  EXPECT_THAT(keys("flag/"), ElementsAre("flag/a", "flag/b", "flag/\xc3\xbc"));
  EXPECT_THAT(keys("rollout/"), ElementsAre("rollout/a"));
  EXPECT_THAT(keys("none/"), ElementsAre());
  EXPECT_EQ(keys("").size(), 6U);
}

TEST_P(StoreContract, AuditIsNewestFirstWithoutGapsAndBySubject) {
  ASSERT_TRUE(store_->commit({}, {note("a", "1"), note("b", "2")}));
  ASSERT_FALSE(store_->commit({{"k", "x", 5}}, {note("a", "refused")}));
  ASSERT_TRUE(store_->commit({{"k", "x", 0}}, {note("a", "3")}));
  const auto all = *store_->audit("", 10);
  ASSERT_EQ(all.size(), 3U);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].sequence, static_cast<std::int64_t>(3 - i));
  EXPECT_EQ(all[0].who, "operator:alice");
  EXPECT_EQ(all[0].details, R"({"p99": 12.5})");
  EXPECT_EQ(all[0].at, TimePoint{1'700'000'000'000});
  EXPECT_EQ(all[0].hash.size(), 64U);
  const auto of_a = *store_->audit("a", 10);
  ASSERT_EQ(of_a.size(), 2U);
  EXPECT_EQ(of_a[0].why, "3");
  EXPECT_EQ(store_->audit("", 1)->size(), 1U);
  EXPECT_EQ(*store_->verify_audit(), std::nullopt);
}

TEST_P(StoreContract, VerifiesALongTrail) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(store_->commit({}, std::vector<AuditEntry>(700, note("a", "x"))));
  EXPECT_EQ(*store_->verify_audit(), std::nullopt);
  EXPECT_EQ(store_->audit("", 1)->front().sequence, 2'100);
}

TEST_P(StoreContract, FindsATamperedAuditEntry) {
  ASSERT_TRUE(store_->commit({}, {note("a", "1"), note("a", "2"), note("a", "3")}));
  store_.reset();
  ASSERT_TRUE(fixture_->change_audit(2));
  reopen();
  EXPECT_EQ(*store_->verify_audit(), std::optional<std::int64_t>(2));
}

TEST_P(StoreContract, FindsAnAuditTrailThatWasCutOff) {
  ASSERT_TRUE(store_->commit({}, {note("a", "1"), note("a", "2"), note("a", "3")}));
  store_.reset();
  ASSERT_TRUE(fixture_->cut_audit_tail(2));
  reopen();
  EXPECT_EQ(*store_->verify_audit(), std::optional<std::int64_t>(3));
}

TEST_P(StoreContract, AFlippedBitIsAnErrorAndNeverAValue) {
  ASSERT_TRUE(store_->commit({{"k", "percentage 5", 0}, {"other", "fine", 0}}, {}));
  store_.reset();
  ASSERT_TRUE(fixture_->change_value("k"));
  reopen();
  const auto got = store_->get("k");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "store.corrupt");
  EXPECT_FALSE(store_->list(""));
  EXPECT_TRUE(store_->get("other"));
}

TEST_P(StoreContract, AFullDiskIsAnErrorAndTheOldStateStaysReadable) {
  ASSERT_TRUE(store_->commit({{"k", "old", 0}}, {note("a", "1")}));
  store_.reset();
  auto full = fixture_->open_nearly_full();
  ASSERT_TRUE(full) << full.error().to_string();
  store_ = std::move(*full);
  const auto done = store_->commit({{"k", std::string(1 << 20, 'x'), 1}}, {note("a", "2")});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "store.full");
  EXPECT_EQ(done.error().disposition, Disposition::kRetry);
  EXPECT_EQ((*store_->get("k"))->value, "old");
  EXPECT_EQ(store_->audit("", 10)->size(), 1U);
  EXPECT_EQ(*store_->verify_audit(), std::nullopt);
  ASSERT_TRUE(store_->commit({{"k", "small", 1}}, {}));  // what fits still goes through
}

TEST_P(StoreContract, OfManyWritersOfOneVersionOneWins) {
  ASSERT_TRUE(store_->commit({{"k", "0", 0}}, {}));
  std::atomic<int> won{0};
  std::atomic<int> lost{0};
  std::vector<std::thread> writers;
  for (int i = 0; i < 8; ++i) {
    writers.emplace_back([&, i] {
      const auto done = store_->commit({{"k", std::to_string(i), 1}}, {note("a", std::to_string(i))});
      if (done) ++won;
      if (!done && done.error().disposition == Disposition::kConflict) ++lost;
      if (!store_->get("k")) ++lost;  // readers beside writers
    });
  }
  for (auto& writer : writers) writer.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(lost, 7);
  EXPECT_EQ(store_->audit("", 100)->size(), 1U);
}

TEST_P(StoreContract, RefusesWhatIsOutOfBounds) {
  EXPECT_EQ(store_->commit({{"", "x", 0}}, {}).error().code, "store.bounds");
  EXPECT_EQ(store_->commit({{std::string(10'000, 'k'), "x", 0}}, {}).error().code, "store.bounds");
  EXPECT_EQ(store_->commit({{std::string("a\0b", 3), "x", 0}}, {}).error().code, "store.bounds");
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, testing::Values(&make_sqlite_fixture),
                         [](const auto&) { return "file"; });

}  // namespace
}  // namespace poundlock::store
