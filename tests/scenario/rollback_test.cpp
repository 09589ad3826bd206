// A rollback in every phase leaves schema and data as they were before it; after the drop, restore brings
// the column back with right values.
#include <fmt/format.h>

#include <fstream>

#include "support/demo_fixture.h"

namespace poundlock::scenario {
namespace {

class RollbackTest : public DemoFixture {
 protected:
  // Rows that the application has not written, and whose status is not the one that they were made with.
  std::string changed_by_us() {
    return value(
        "SELECT count(*) FROM public.orders WHERE updated_at = (SELECT min(updated_at) FROM public.orders)"
        " AND legacy_status IS DISTINCT FROM"
        " 'st_' || lpad((pg_catalog.hashint8(id) & 1023)::text, 3, '0')");
  }
  // What the application never writes.
  std::string data() {
    return value(
        "SELECT md5(string_agg(id || ':' || customer || ':' || amount, ',' ORDER BY id))"
        " FROM public.orders WHERE id <= 5000");
  }

  void expect_as_before(const std::string& when) {
    EXPECT_EQ(fingerprint(), schema_) << when;
    EXPECT_EQ(data(), data_) << when;
    EXPECT_EQ(changed_by_us(), "0") << when;
    expect_journals_kept("legacy_status");
    EXPECT_EQ(world_->figures().errors, 0U) << when;
  }

  // After a rollback of everything nothing of the rollout is left but its ledger, which is its history.
  void expect_taken_back(const std::string& when) {
    ASSERT_TRUE(wait_for_mode("rolled_back")) << when;
    expect_as_before(when);
    const auto seen = view();
    EXPECT_EQ(cli::number_at(seen, "position"), 0) << when;
    EXPECT_EQ(cli::text_at(cli::object_at(seen, "flag"), "stage"), "off") << when;
    EXPECT_EQ(value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.orders'::regclass"), "0")
        << when;
  }

  static bool at(const bj::object& seen, std::string_view item) { return cli::text_at(seen, "item") == item; }
  static bool live(const bj::object& seen) {
    const auto& flag = cli::object_at(seen, "flag");
    return cli::text_at(flag, "stage") == "live" && cli::number_at(flag, "percentage").value_or(0) > 0 &&
           cli::number_at(flag, "revision").value_or(0) > 0;
  }

  void back_in_prepare() {
    ASSERT_TRUE(
        go_on("the baseline is recorded", [](const auto& seen) { return at(seen, "prepare.baseline"); }));
    order("rollback");
    expect_taken_back("in prepare");
    // What is at its beginning cannot go further back.
    const Said again = poundlock({"rollback", cli::kDemoRollout});
    EXPECT_EQ(again.code, 4) << again.err;
    EXPECT_THAT(again.err, testing::HasSubstr("nothing to roll back"));
    order("resume");
  }

  void back_in_dual_write() {
    ASSERT_TRUE(
        go_on("both sides are written", [](const auto& seen) { return at(seen, "dual_write.window"); }));
    EXPECT_NE(fingerprint(), schema_) << "the expand is there, or this proves nothing";
    order("rollback");
    expect_taken_back("in dual_write");
    order("resume");
  }

  // First the readers go back and dual writing goes on; a second rollback takes the schema back too.
  void back_in_exposure() {
    ASSERT_TRUE(go_on("a part of everybody is exposed", live));
    order("rollback");
    ASSERT_TRUE(wait_for_mode("rolled_back"));
    const auto seen = view();
    EXPECT_EQ(cli::text_at(cli::object_at(seen, "flag"), "stage"), "dualwrite");
    const auto column = world_->column_exists("new_status");
    ASSERT_TRUE(column);
    EXPECT_TRUE(*column) << "dual writing goes on";
    expect_journals_kept("legacy_status");
    expect_journals_kept("new_status");
    const auto& records = cli::list_at(seen, "rollbacks");
    ASSERT_FALSE(records.empty());
    EXPECT_EQ(cli::text_at(cli::element(records.back()), "cause"), "operator:tester");
    order("rollback", "prepare");
    expect_taken_back("after exposure");
    order("resume");
  }

  // Without the checks that need a shadow, which the case above passes again after each way back, a way
  // there takes a second. Nobody is asked who reads the new side either: the undo then follows the order at
  // once, while the step may still be under way, and not ten seconds later.
  void start_world_without_shadow() {
    cli::DemoOptions options = small();
    options.application = false;
    start_world(options);
    if (HasFatalFailure()) return;
    const std::string file = world_->directory() + "/poundlock.yaml";
    std::ifstream in(file);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    const std::string shadow = "shadow: {create: true, rows: 20000}";
    ASSERT_THAT(text, testing::HasSubstr(shadow));
    std::ofstream(file) << text.erase(text.find(shadow), shadow.size());
    for (const Status& done : {world_->restart_server(), world_->start_app("v1", true)})
      ASSERT_TRUE(done) << done.error().to_string();
  }
  static std::string rollout_without_shadow() {
    std::string text = small_rollout();
    const std::string gates = "gates: {";
    for (const char* gate : {"dry_run_time", "lock_contention", "paths_equal", "rehearsal", "references_new"})
      text.insert(text.find(gates) + gates.size(), fmt::format("{}: {{waive: \"another case\"}}, ", gate));
    return text;
  }

  // The ids of the steps of dual_write, in their order.
  std::vector<std::string> dual_write_steps() {
    const auto seen = view();
    std::vector<std::string> ids;
    for (const auto& item : cli::list_at(seen, "items")) {
      std::string id = cli::text_at(cli::element(item), "id");
      if (id.starts_with("dual_write.") && cli::text_at(cli::element(item), "kind") == "step")
        ids.push_back(std::move(id));
    }
    return ids;
  }

  void restore_after_drop() {
    ASSERT_TRUE(go_on(
        "the rollout is done", [](const auto& seen) { return cli::text_at(seen, "mode") == "done"; }, true));
    EXPECT_THAT(fingerprint(), testing::Not(testing::HasSubstr("legacy_status")));
    const Said refused = poundlock({"rollback", cli::kDemoRollout});
    EXPECT_EQ(refused.code, 4) << refused.err;
    EXPECT_THAT(refused.err, testing::HasSubstr("--restore"));
    order("rollback", "restore");
    ASSERT_TRUE(wait_for_mode("rolled_back"));
    EXPECT_EQ(value("SELECT count(*) FROM public.orders WHERE legacy_status IS DISTINCT FROM new_status"),
              "0");
    EXPECT_EQ(value("SELECT count(*) FROM pg_indexes WHERE indexname = 'idx_orders_legacy_status'"), "1");
    EXPECT_EQ(data(), data_);
    EXPECT_EQ(changed_by_us(), "0");
    expect_journals_kept("legacy_status");
    EXPECT_EQ(world_->figures().errors, 0U);
    // Whoever is exposed again is the authority again.
    order("resume");
    ASSERT_TRUE(wait_for("the sync is opened again", [&] {
      return value("SELECT count(*) FROM pg_proc WHERE strpos(prosrc, 'poundlock sync, mode new') > 0") ==
             "1";
    }));
  }

  std::string schema_, data_;
};

TEST_F(RollbackTest, EveryPhaseGoesBackAndARestoreFollowsTheDrop) {
  start_world(small());
  ASSERT_FALSE(HasFatalFailure());
  schema_ = fingerprint();
  data_ = data();
  ASSERT_THAT(schema_, testing::HasSubstr("legacy_status"));
  const Said started = start_rollout(small_rollout());
  ASSERT_EQ(started.code, 0) << started.err;
  back_in_prepare();
  if (!HasFailure()) back_in_dual_write();
  if (!HasFailure()) back_in_exposure();
  if (!HasFailure()) restore_after_drop();
}

// Ordered when a step has just become the present one: it is carried out, or has just been, or was never
// begun. Whichever it is, nothing stays.
TEST_F(RollbackTest, EveryStepOfDualWriteGoesBack) {
  start_world_without_shadow();
  ASSERT_FALSE(HasFatalFailure());
  schema_ = fingerprint();
  data_ = data();
  const Said started = start_rollout(rollout_without_shadow());
  ASSERT_EQ(started.code, 0) << started.err;
  const auto steps = dual_write_steps();
  ASSERT_GE(steps.size(), 5U);
  for (const auto& step : steps) {
    SCOPED_TRACE(step);
    const auto index_of = [](const bj::object& seen, const std::string& id) {
      std::size_t index = 0;
      for (const auto& item : cli::list_at(seen, "items")) {
        if (cli::text_at(cli::element(item), "id") == id) break;
        ++index;
      }
      return static_cast<double>(index);
    };
    ASSERT_TRUE(go_on(step + " is reached", [&](const bj::object& seen) {
      return cli::number_at(seen, "position").value_or(0) >= index_of(seen, step);
    }));
    order("rollback");
    expect_taken_back(step);
    if (HasFailure()) return;
    order("resume");
  }
}

// A repair with the trigger turned off, after everything was verified: it is on the legacy side only.
TEST_F(RollbackTest, WhatIsWrittenPastTheTriggerIsNotDropped) {
  start_world(small());
  ASSERT_FALSE(HasFatalFailure());
  const Said started = start_rollout(small_rollout());
  ASSERT_EQ(started.code, 0) << started.err;
  ASSERT_TRUE(go_on("the rollout is closing", [](const auto& seen) { return at(seen, "contract.closing"); }));
  query(
      "DO $$ BEGIN ALTER TABLE public.orders DISABLE TRIGGER USER; "
      "UPDATE public.orders SET legacy_status = 'repaired' WHERE id % 25 = 0; "
      "ALTER TABLE public.orders ENABLE TRIGGER USER; END $$");
  ASSERT_TRUE(wait_for_mode("paused"));
  EXPECT_THAT(cli::text_at(view(), "pause_reason"), testing::HasSubstr("out of step"));
  EXPECT_EQ(cli::text_at(cli::object_at(view(), "flag"), "stage"), "complete");
  // The application goes on, and writes some of these rows anew.
  EXPECT_NE(value("SELECT count(*) FROM public.orders WHERE legacy_status = 'repaired'"), "0");
  query("UPDATE public.orders SET new_status = 'repaired' WHERE legacy_status = 'repaired'");
  ASSERT_TRUE(wait_for("a sample is in step again", [&] {
    const auto seen = view();
    const auto& gates = cli::list_at(seen, "gates");
    return std::any_of(gates.begin(), gates.end(), [](const auto& one) {
      return cli::text_at(cli::element(one), "gate") == "sampled_mismatches" &&
             cli::text_at(cli::element(one), "verdict") == "pass";
    });
  }));
  order("resume");
  ASSERT_TRUE(go_on(
      "the rollout is done", [](const auto& seen) { return cli::text_at(seen, "mode") == "done"; }, true));
  EXPECT_NE(value("SELECT count(*) FROM public.orders WHERE new_status = 'repaired'"), "0");
}

}  // namespace
}  // namespace poundlock::scenario
