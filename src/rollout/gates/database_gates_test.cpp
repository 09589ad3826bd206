// Gates on what the database says: pass, hold and fail with readable reasons.
#include "rollout/gates/gate_test_support.h"
#include "rollout/statements.h"

namespace poundlock::rollout {
namespace {

TEST(ReplicationLag, PassesWithoutReplicasAndHoldsWhereTheyCannotBeSeen) {
  GateBench bench;
  EXPECT_TRUE(bench.judge("replication_lag").no_data);
  bench.observe("replication.replicas", 0);
  bench.observe("collector.replicas", 0);
  EXPECT_VERDICT(bench.judge("replication_lag"), Verdict::kPass, "no replica");
  bench.observe("replication.replicas", 2);
  EXPECT_VERDICT(bench.judge("replication_lag"), Verdict::kHold, "GRANT pg_monitor");
  bench.observe("collector.replicas", 2);
  EXPECT_VERDICT(bench.judge("replication_lag"), Verdict::kHold, "a declared replica does not say");
  bench.observe("replica.ms", 3);
  EXPECT_VERDICT(bench.judge("replication_lag"), Verdict::kPass, "3.0 ms behind");
}

TEST(ReplicationLag, HoldsOnASpikeAndFailsWhenItLasts) {
  GateBench bench;
  bench.observe("replication.replicas", 1);
  bench.observe("replication.ms", 400);
  bench.observe("replication.ms_median", 4);
  EXPECT_VERDICT(bench.judge("replication_lag"), Verdict::kHold, "not for long enough");
  bench.observe("replication.ms_median", 120);
  bench.observe("replication.unreplayed_bytes", 5'000'000);
  EXPECT_VERDICT(bench.judge("replication_lag"), Verdict::kFail, "120.0 ms behind in the median of 10 s");
  bench.observe("replication.ms", 2);
  bench.observe("replication.ms_median", 3);
  EXPECT_VERDICT(bench.judge("replication_lag"), Verdict::kPass, "5,000,000 bytes of WAL not replayed");
}

TEST(ReplicasReplayed, WaitsForEveryReplicaToPassTheMark) {
  GateBench bench;
  EXPECT_TRUE(bench.judge("replicas_replayed").no_data);
  bench.observe("replication.replicas", 1);
  EXPECT_VERDICT(bench.judge("replicas_replayed"), Verdict::kHold, "not known yet");
  bench.marks["replication.written_lsn"] = 10'000;
  EXPECT_VERDICT(bench.judge("replicas_replayed"), Verdict::kHold, "GRANT pg_monitor");
  bench.observe("replication.replayed_lsn", 9'000);
  EXPECT_VERDICT(bench.judge("replicas_replayed"), Verdict::kHold, "1,000 bytes of WAL");
  bench.observe("replication.replayed_lsn", 12'000);
  EXPECT_VERDICT(bench.judge("replicas_replayed"), Verdict::kPass, "every replica");
  bench.observe("collector.replicas", 1);
  EXPECT_TRUE(bench.judge("replicas_replayed").no_data);
  bench.observe("replica.missing_lsn", -9'500);
  EXPECT_VERDICT(bench.judge("replicas_replayed"), Verdict::kHold, "500 bytes of WAL");
}

TEST(WriteAmplification, ComparesVersionsWithRowsLessOurOwn) {
  GateBench bench;
  bench.moment = Moment::kDualWrite;
  EXPECT_TRUE(bench.judge("write_amplification").no_data);
  bench.statements();
  bench.since("statements.write_rows", 6000);
  bench.since("statements.versions", 6300);
  bench.since("statements.own_rows", 250);
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kPass, "6,050 row versions for 6,000 rows");
  bench.since("statements.versions", 12'250);
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kFail, "2.00 times the baseline");
}

TEST(WriteAmplification, HoldsEarlyAndAllowsForLateStatistics) {
  GateBench bench;
  bench.moment = Moment::kDualWrite;
  bench.statements();
  bench.since("statements.clock_s", 2);
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kHold, "too early");
  bench.since("statements.clock_s", 6);
  bench.since("statements.write_rows", 6000);
  bench.since("statements.versions", 7500);
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kHold, "not yet reported");
  bench.since("statements.write_rows", 10);
  bench.since("statements.versions", 10);
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kHold, "1,000 rows are needed");
  bench.since("statements.clock_s", 61);
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kPass, "few as they are");
}

TEST(WriteAmplification, MeasuresAgainstTheApplicationsOwnTriggers) {
  GateBench bench;
  bench.moment = Moment::kDualWrite;
  bench.statements();
  bench.since("statements.write_rows", 6000);
  bench.since("statements.versions", 12'100);
  bench.baseline.emplace();
  bench.baseline->differences = {
      {"statements.write_rows", 1000}, {"statements.versions", 2000}, {"statements.own_rows", 0}};
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kPass, "1.01 times the baseline");
}

TEST(WriteAmplification, CannotTellWhoWroteUnderASharedRole) {
  GateBench bench;
  bench.moment = Moment::kDualWrite;
  bench.statements();
  bench.observe("statements.shared_role", 3);
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kHold, "a role of its own");
  bench.observe("statements.shared_role", 0);
  bench.observe("statements.unreadable", 4);
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kHold, "GRANT pg_read_all_stats");
  bench.observe("collector.pg_stat_statements", 0);
  EXPECT_VERDICT(bench.judge("write_amplification"), Verdict::kHold, "not installed");
}

TEST(WalPerWrite, IsHeldToWhatTheRehearsalForetold) {
  GateBench bench;
  bench.moment = Moment::kDualWrite;
  EXPECT_TRUE(bench.judge("wal_per_write").no_data);
  bench.statements();
  bench.since("statements.write_calls", 10'000);
  bench.since("statements.wal_bytes", 4'500'000);
  bench.since("statements.wal_records", 30'000);
  bench.baseline.emplace();
  bench.baseline->differences = {
      {"statements.write_calls", 1000}, {"statements.wal_bytes", 300'000}, {"statements.wal_records", 3000}};
  EXPECT_VERDICT(bench.judge("wal_per_write"), Verdict::kHold, "foretold no WAL ratio");
  bench.observe("rehearsal.wal_ratio", 1.5);
  EXPECT_VERDICT(bench.judge("wal_per_write"), Verdict::kPass,
                 "450 B of WAL a write, 300 before and 1.50 times foretold");
  bench.since("statements.wal_bytes", 6'000'000);
  EXPECT_VERDICT(bench.judge("wal_per_write"), Verdict::kFail, "600 B of WAL a write");
  // After a checkpoint full-page images make up nearly all of it: then records are compared.
  bench.since("statements.wal_bytes", 60'000'000);
  bench.since("statements.wal_fpi", 7'000);
  EXPECT_VERDICT(bench.judge("wal_per_write"), Verdict::kHold, "foretold no WAL ratio");
  bench.observe("rehearsal.wal_records_ratio", 1);
  EXPECT_VERDICT(bench.judge("wal_per_write"), Verdict::kPass, "3.00 WAL records a write");
  bench.observe("statements.without_wal", 12);
  EXPECT_VERDICT(bench.judge("wal_per_write"), Verdict::kPass, "counts no WAL");
}

TEST(Deadlocks, AllowAFewAndFailOnMoreThanChance) {
  GateBench bench;
  EXPECT_TRUE(bench.judge("deadlocks").no_data);
  bench.since("database.clock_s", 60);
  bench.since("database.deadlocks", 1);
  EXPECT_VERDICT(bench.judge("deadlocks"), Verdict::kPass, "1 deadlock since the mark");
  bench.baseline.emplace();
  bench.baseline->seconds = 60;
  bench.since("database.deadlocks", 5);
  EXPECT_VERDICT(bench.judge("deadlocks"), Verdict::kPass, "no more than chance");
  bench.since("database.deadlocks", 30);
  EXPECT_VERDICT(bench.judge("deadlocks"), Verdict::kFail,
                 "30 deadlocks in 60 s, 0 in the 60 s of the baseline");
  bench.baseline->differences["database.deadlocks"] = 28;
  EXPECT_VERDICT(bench.judge("deadlocks"), Verdict::kPass, "no more than chance");
}

TEST(IndexUsage, FailsWhenTheNewSideScansWholeTables) {
  GateBench bench;
  bench.app();
  EXPECT_TRUE(bench.judge("index_usage").no_data);
  fill(bench.path().fresh, 2000, 0);
  bench.observe("scans.indexes", 1);
  bench.observe("scans.tables", 1);
  bench.since("scans.clock_s", 60);
  bench.since("scans.index_scans", 1990);
  bench.since("scans.table_scans", 12);  // our own samples
  EXPECT_VERDICT(bench.judge("index_usage"), Verdict::kPass, "1,990 of the new indexes in 2,000 attempts");
  bench.since("scans.table_scans", 1800);
  EXPECT_VERDICT(bench.judge("index_usage"), Verdict::kFail, "1,788 scans of whole tables more than before");
  bench.baseline.emplace();
  bench.baseline->paths["by_status"] = {2000, 0, {}};
  bench.baseline->differences["scans.table_scans"] = 1800;
  EXPECT_VERDICT(bench.judge("index_usage"), Verdict::kPass, "0 scans of whole tables");
  bench.path().fresh = {};
  fill(bench.path().fresh, 50, 0);
  bench.since("scans.table_scans", 0);
  EXPECT_VERDICT(bench.judge("index_usage"), Verdict::kHold, "1,000 are needed");
}

TEST(LockWaits, FailOnALongWaitOfTheLastMinute) {
  GateBench bench;
  EXPECT_TRUE(bench.judge("lock_waits").no_data);
  bench.observe("lock_waits.recent_ms", 0);
  bench.observe("lock_waits.max_ms", 0);
  EXPECT_VERDICT(bench.judge("lock_waits"), Verdict::kPass, "no application session waited");
  bench.observe("lock_waits.recent_ms", 73, "pid 7 of app (web)");
  EXPECT_VERDICT(bench.judge("lock_waits"), Verdict::kFail, "waited 73 ms behind us: pid 7 of app (web)");
  bench.observe("lock_waits.recent_ms", 0);
  bench.observe("lock_waits.max_ms", 73);
  EXPECT_VERDICT(bench.judge("lock_waits"), Verdict::kPass, "at most 73 ms since the mark");
}

TEST(Mismatches, FailOnOneRow) {
  GateBench bench;
  bench.moment = Moment::kDualWrite;
  EXPECT_TRUE(bench.judge("sampled_mismatches").no_data);
  EXPECT_TRUE(bench.judge("verify_mismatches").no_data);
  bench.observe("sample_1.sampled", 4000);
  bench.observe("sample_1.rows", 0);
  bench.observe("sample_1.open", 0);
  bench.seen.values["verify.mismatches"] = {0, TimePoint{1}, "step", ""};  // long ago: still true
  bench.seen.values["verify.rows"] = {200'000, TimePoint{1}, "step", ""};
  EXPECT_VERDICT(bench.judge("sampled_mismatches"), Verdict::kPass, "0 of 4,000 rows sampled");
  EXPECT_VERDICT(bench.judge("verify_mismatches"), Verdict::kPass, "0 of 200,000 rows out of step");
  bench.observe("sample_1.rows", 2);
  bench.observe("verify.mismatches", 1);
  EXPECT_VERDICT(bench.judge("sampled_mismatches"), Verdict::kFail, "2 of 4,000 rows");
  EXPECT_VERDICT(bench.judge("verify_mismatches"), Verdict::kFail, "1 of 200,000 rows");
  // Once the new side may be written, a value that only `down` explains is in step.
  bench.moment = Moment::kObserve;
  EXPECT_VERDICT(bench.judge("sampled_mismatches"), Verdict::kPass, "0 of 4,000 rows");
  bench.plan.items.clear();
  EXPECT_VERDICT(bench.judge("sampled_mismatches"), Verdict::kPass, "nothing is kept in step");
}

TEST(SyncInstalled, WantsATriggerInTheModeOfThePhase) {
  GateBench bench;
  bench.moment = Moment::kDualWrite;
  EXPECT_VERDICT(bench.judge("sync_installed"), Verdict::kPass, "no trigger keeps anything in step");
  bench.plan.items[0].step->in_step->installed_probe = "SELECT true";
  bench.plan.items[0].step->in_step->opened_probe = "SELECT false";
  EXPECT_TRUE(bench.judge("sync_installed").no_data);
  const auto seen = [&](double installed, double opened) {
    bench.observe("sync_1.installed", installed);
    bench.observe("sync_1.opened", opened);
    bench.since("sync_1.conflicts", 2);
    bench.marks["sync_1.installed"] = installed;
  };
  seen(1, 0);
  EXPECT_VERDICT(bench.judge("sync_installed"), Verdict::kPass, "2 conflicts since the mark");
  bench.moment = Moment::kExpose;
  EXPECT_VERDICT(bench.judge("sync_installed"), Verdict::kFail,
                 "\"public\".\"orders\" (its function does not let the new side be written)");
  bench.marks.clear();  // looked at before the step that opened the sync
  EXPECT_TRUE(bench.judge("sync_installed").no_data);
  seen(1, 1);
  EXPECT_VERDICT(bench.judge("sync_installed"), Verdict::kPass, "as this phase needs them");
  for (const Moment moment : {Moment::kDualWrite, Moment::kRelease, Moment::kBeforeDrop}) {
    bench.moment = moment;
    seen(0, 0);
    EXPECT_VERDICT(bench.judge("sync_installed"), Verdict::kFail, "missing, disabled or turned off");
  }
  bench.now = bench.now + Millis{15'001};
  EXPECT_TRUE(bench.judge("sync_installed").no_data);
  EXPECT_EQ(find_gate("sync_installed")->on_failure, OnFailure::kRollback);
}

TEST(DryRun, BlocksOnLongStepsAndOnContention) {
  GateBench bench;
  bench.moment = Moment::kPrepare;
  EXPECT_TRUE(bench.judge("dry_run_time").no_data);
  EXPECT_TRUE(bench.judge("lock_contention").no_data);
  bench.observe("dry_run.blocking_seconds", 0.04);
  bench.observe("dry_run.contention", 0);
  EXPECT_VERDICT(bench.judge("dry_run_time"), Verdict::kPass, "took 0.04 s");
  EXPECT_VERDICT(bench.judge("lock_contention"), Verdict::kPass, "no replayed statement waited");
  bench.observe("dry_run.blocking_seconds", 120);
  bench.observe("dry_run.contention", 2, "add_column");
  EXPECT_VERDICT(bench.judge("dry_run_time"), Verdict::kFail, "took 120.00 s");
  EXPECT_VERDICT(bench.judge("lock_contention"), Verdict::kFail,
                 "2 replayed statements waited for a step: add_column");
}

TEST(NewReadsWhileOff, CountsStatementsAndApplicationPaths) {
  GateBench bench;
  bench.moment = Moment::kDualWrite;
  EXPECT_TRUE(bench.judge("new_reads_while_off").no_data);
  bench.statements();
  EXPECT_VERDICT(bench.judge("new_reads_while_off"), Verdict::kPass, "reads the new side");
  bench.since("statements.fresh_reads", 3, "`SELECT new_status FROM orders` (3 calls)");
  EXPECT_VERDICT(bench.judge("new_reads_while_off"), Verdict::kFail,
                 "3 reads of the new side since the mark: `SELECT new_status");
  bench.since("statements.fresh_reads", 0);
  fill(bench.path().fresh, 1, 0);
  EXPECT_VERDICT(bench.judge("new_reads_while_off"), Verdict::kFail, "1 read of the new side");
}

TEST(SelectStar, BlocksAndSaysWhatToDo) {
  GateBench bench;
  bench.moment = Moment::kBaseline;
  EXPECT_TRUE(bench.judge("select_star").no_data);
  bench.statements();
  EXPECT_VERDICT(bench.judge("select_star"), Verdict::kPass, "no statement of others");
  bench.observe("statements.star", 1, "`SELECT * FROM orders` (9 calls)");
  EXPECT_VERDICT(bench.judge("select_star"), Verdict::kFail,
                 "`SELECT * FROM orders` (9 calls); list the columns there");
}

class ReferencesTest : public testing::Test {
 protected:
  void nothing(const std::string& side) {
    bench_.statements();
    bench_.observe(side + "_objects.catalog", 0);
    bench_.observe(side + "_objects.functions", 0);
    bench_.observe(side + "_sessions.hidden", 0);
    bench_.observe(side + "_sessions.count", 0);
  }
  GateBench bench_;
};

TEST_F(ReferencesTest, LegacyPassesOnlyWithAllEvidence) {
  EXPECT_VERDICT(bench_.judge("references_legacy"), Verdict::kHold, "not known");
  EXPECT_TRUE(bench_.judge("references_legacy").no_data);
  nothing("legacy");
  EXPECT_VERDICT(bench_.judge("references_legacy"), Verdict::kPass,
                 "no object, function, statement or session");
  bench_.since("collector.statements_evicted", 2);
  EXPECT_VERDICT(bench_.judge("references_legacy"), Verdict::kHold, "raise pg_stat_statements.max");
  bench_.observe("collector.pg_stat_statements", 0);
  EXPECT_VERDICT(bench_.judge("references_legacy"), Verdict::kHold, "not installed");
}

TEST_F(ReferencesTest, LegacyFailsOnEachKindOfEvidence) {
  nothing("legacy");
  bench_.observe("legacy_objects.catalog", 1, "view report");
  EXPECT_VERDICT(bench_.judge("references_legacy"), Verdict::kFail, "1 objects in the catalog: view report");
  nothing("legacy");
  bench_.since("statements.legacy_refs", 12, "`SELECT legacy_status FROM orders`");
  EXPECT_VERDICT(bench_.judge("references_legacy"), Verdict::kFail, "12 calls of statements since the mark");
  nothing("legacy");
  bench_.app().contexts = {{"", 5, 0}};
  EXPECT_VERDICT(bench_.judge("references_legacy"), Verdict::kFail, "5 attempts of the application");
  bench_.app().contexts.clear();
  InstanceInfo old;
  old.connected = true;
  bench_.app().instances = {old};
  EXPECT_VERDICT(bench_.judge("references_legacy"), Verdict::kFail, "1 live build with a legacy path");
}

TEST_F(ReferencesTest, NewCanBeTakenBackWithoutTheExtension) {
  bench_.moment = Moment::kUndoExpand;
  nothing("fresh");
  EXPECT_VERDICT(bench_.judge("references_new"), Verdict::kPass, "no object, function, statement or session");
  bench_.since("statements.fresh_refs", 1);
  EXPECT_VERDICT(bench_.judge("references_new"), Verdict::kFail, "1 calls of statements");
  bench_.observe("collector.pg_stat_statements", 0);
  EXPECT_VERDICT(bench_.judge("references_new"), Verdict::kPass, "without pg_stat_statements");
  bench_.observe("fresh_sessions.count", 1, "web (pid 9)");
  EXPECT_VERDICT(bench_.judge("references_new"), Verdict::kFail, "1 present sessions: web (pid 9)");
}

}  // namespace
}  // namespace poundlock::rollout
