#include "lint/locks.h"

#include <gmock/gmock.h>

namespace poundlock::lint {
namespace {

struct Case {
  const char* sql;
  LockMode mode;
  Work work = Work::kCatalogOnly;
  const char* relation = "t";
};

constexpr LockMode kAX = LockMode::kAccessExclusive;
constexpr LockMode kSUX = LockMode::kShareUpdateExclusive;
constexpr LockMode kSRX = LockMode::kShareRowExclusive;

// The locks of these forms were read from pg_locks on PostgreSQL 15.
const Case kCases[] = {
    {"ALTER TABLE t ADD COLUMN a int", kAX},
    {"ALTER TABLE t ADD COLUMN a int DEFAULT 1", kAX},
    {"ALTER TABLE t ADD COLUMN a timestamptz DEFAULT now()", kAX},
    {"ALTER TABLE t ADD COLUMN a float8 DEFAULT random()", kAX, Work::kRewrite},
    {"ALTER TABLE t ADD COLUMN a serial", kAX, Work::kRewrite},
    {"ALTER TABLE t ADD COLUMN a int GENERATED ALWAYS AS IDENTITY", kAX, Work::kRewrite},
    {"ALTER TABLE t ADD COLUMN a int GENERATED ALWAYS AS (id) STORED", kAX, Work::kRewrite},
    {"ALTER TABLE t ADD COLUMN a int CHECK (a > 0)", kAX, Work::kScan},
    {"ALTER TABLE t ADD COLUMN a int UNIQUE", kAX, Work::kIndexBuild},
    {"ALTER TABLE t ALTER x SET NOT NULL", kAX, Work::kScan},
    {"ALTER TABLE t ALTER x DROP NOT NULL", kAX},
    {"ALTER TABLE t ALTER x SET DEFAULT 1", kAX},
    {"ALTER TABLE t ALTER x TYPE bigint", kAX, Work::kRewrite},
    {"ALTER TABLE t DROP COLUMN x", kAX},
    {"ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0)", kAX, Work::kScan},
    {"ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0) NOT VALID", kAX},
    {"ALTER TABLE t VALIDATE CONSTRAINT c", kSUX, Work::kScan},
    {"ALTER TABLE t ADD FOREIGN KEY (x) REFERENCES u (id)", kSRX, Work::kScan},
    {"ALTER TABLE t ADD FOREIGN KEY (x) REFERENCES u (id) NOT VALID", kSRX},
    {"ALTER TABLE t ADD PRIMARY KEY (id)", kAX, Work::kIndexBuild},
    {"ALTER TABLE t ADD UNIQUE USING INDEX i", kAX},
    {"ALTER TABLE t ALTER x SET STATISTICS 100", kSUX},
    {"ALTER TABLE t SET (fillfactor = 90)", kSUX},
    {"ALTER TABLE t SET UNLOGGED", kAX, Work::kRewrite},
    {"ALTER TABLE t DISABLE TRIGGER g", kSRX},
    {"ALTER TABLE t ALTER x SET STATISTICS 100, ALTER x SET NOT NULL", kAX, Work::kScan},
    {"ALTER TABLE t ATTACH PARTITION p DEFAULT", kAX, Work::kScan, "p"},
    {"ALTER TABLE t DETACH PARTITION p", kAX},
    {"ALTER TABLE t DETACH PARTITION p CONCURRENTLY", kSUX},
    {"CREATE INDEX i ON t (x)", LockMode::kShare, Work::kIndexBuild},
    {"CREATE INDEX CONCURRENTLY i ON t (x)", kSUX, Work::kIndexBuild},
    {"DROP INDEX i", kAX, Work::kCatalogOnly, "i"},
    {"DROP INDEX CONCURRENTLY i", kSUX, Work::kCatalogOnly, "i"},
    {"REINDEX TABLE t", LockMode::kShare, Work::kIndexBuild},
    {"REINDEX TABLE CONCURRENTLY t", kSUX, Work::kIndexBuild},
    {"DROP TABLE t", kAX},
    {"DROP TRIGGER g ON t", kAX},
    {"TRUNCATE t", kAX, Work::kRewrite},
    {"VACUUM t", kSUX, Work::kScan},
    {"VACUUM FULL t", kAX, Work::kRewrite},
    {"ANALYZE t", kSUX, Work::kScan},
    {"CLUSTER t USING i", kAX, Work::kRewrite},
    {"CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", kSRX},
    {"CREATE TABLE n (a int)", LockMode::kNone, Work::kCatalogOnly, ""},
    {"CREATE TABLE n (a int REFERENCES t (id))", kSRX},
    {"CREATE TABLE n PARTITION OF t DEFAULT", kAX, Work::kScan},
    {"ALTER TABLE t RENAME x TO y", kAX},
    {"REFRESH MATERIALIZED VIEW CONCURRENTLY t", LockMode::kExclusive, Work::kScan},
    {"LOCK TABLE t IN SHARE MODE", LockMode::kShare},
    {"INSERT INTO t VALUES (1)", LockMode::kRowExclusive},
    {"SELECT 1 FROM t FOR UPDATE", LockMode::kRowShare, Work::kCatalogOnly, ""},
    {"SELECT 1 FROM t", LockMode::kAccessShare, Work::kCatalogOnly, ""},
    {"WITH d AS (DELETE FROM t RETURNING 1) SELECT 1", LockMode::kRowExclusive, Work::kCatalogOnly, ""},
    {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", LockMode::kNone, Work::kCatalogOnly, ""},
};

TEST(StrongestLock, FollowsPostgres15) {
  for (const Case& expected : kCases) {
    const auto statement = schema::parse_statement(expected.sql);
    ASSERT_TRUE(statement) << expected.sql << ": " << statement.error().message;
    const LockInfo lock = strongest_lock(*statement);
    EXPECT_STREQ(to_string(lock.mode), to_string(expected.mode)) << expected.sql;
    EXPECT_STREQ(to_string(lock.work), to_string(expected.work)) << expected.sql;
    EXPECT_EQ(lock.relation.name, expected.relation) << expected.sql;
  }
}

TEST(StrongestLock, SaysWhoWaits) {
  const auto blocks = [](const char* sql) {
    const LockInfo lock = strongest_lock(*schema::parse_statement(sql));
    return std::pair(lock.blocks_writes(), lock.blocks_reads());
  };
  EXPECT_EQ(blocks("CREATE INDEX i ON t (x)"), std::pair(true, false));
  EXPECT_EQ(blocks("CREATE INDEX CONCURRENTLY i ON t (x)"), std::pair(false, false));
  EXPECT_EQ(blocks("ALTER TABLE t DROP COLUMN x"), std::pair(true, true));
  EXPECT_STREQ(pg_locks_name(LockMode::kShareUpdateExclusive), "ShareUpdateExclusiveLock");
}

}  // namespace
}  // namespace poundlock::lint
