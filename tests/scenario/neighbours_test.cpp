// A change among things that are not its own: other people's indexes, columns' rights, child tables, domains.
#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;

class NeighboursTest : public RolloutFixture {
 protected:
  static constexpr const char* kIndex =
      "create_index:\n  table: shop.orders\n  name: idx_x\n  columns: [customer]\n";
  static std::string column(const std::string& type, const std::string& from = "status") {
    return "change_column:\n  table: shop.orders\n  from: " + from + "\n  to: {name: fresh, type: " + type +
           "}\n  up: " + from + "\n  down: fresh\n";
  }
  void make_orders(const std::string& columns = "status text") {
    must("CREATE TABLE shop.orders (id bigint PRIMARY KEY, customer bigint, " + columns + ")");
  }
  void expect_refused(const std::string& yaml, const std::string& said) {
    const auto made = try_plan(yaml);
    ASSERT_FALSE(made) << "planned, but should have said: " << said;
    EXPECT_EQ(made.error().disposition, Disposition::kUser);
    EXPECT_THAT(made.error().to_string(), HasSubstr(said));
  }
};

TEST_F(NeighboursTest, TheUndoOfAnIndexLeavesOneOfThatNameOnAnotherTableAlone) {
  make_orders();
  must("CREATE TABLE shop.other (a bigint)");
  const auto made = plan(kIndex);
  const auto& build = step(made.steps, "dual_write.index_idx_x");
  must("CREATE INDEX idx_x ON shop.other (a)");
  EXPECT_EQ(run(build).kind, rollout::OutcomeKind::kFailed) << "the name is taken";
  must_run(build, engine::Direction::kUndo);
  EXPECT_EQ(row("SELECT indrelid::regclass FROM pg_index WHERE indexrelid = 'shop.idx_x'::regclass"),
            "shop.other");
}

TEST_F(NeighboursTest, TheUndoOfAnIndexTakesOurs) {
  make_orders();
  const auto made = plan(kIndex);
  const auto& build = step(made.steps, "dual_write.index_idx_x");
  must_run(build);
  must_run(build, engine::Direction::kUndo);
  EXPECT_EQ(row("SELECT to_regclass('shop.idx_x') IS NULL"), "t");
}

TEST_F(NeighboursTest, TablesOfAnInheritanceTreeAreRefused) {
  make_orders();
  must("CREATE TABLE shop.late_orders (days int) INHERITS (shop.orders)");
  expect_refused(column("text"), "part of an inheritance tree");
  expect_refused("add_column:\n  table: shop.late_orders\n  column: {name: note, type: text}\n",
                 "part of an inheritance tree");
}

TEST_F(NeighboursTest, PartitionsAreNoInheritanceTree) {
  must(
      "CREATE TABLE shop.orders (id bigint PRIMARY KEY, customer bigint, status text) PARTITION BY RANGE "
      "(id)");
  must("CREATE TABLE shop.first PARTITION OF shop.orders FOR VALUES FROM (0) TO (1000)");
  EXPECT_TRUE(try_plan(column("text")));
}

TEST_F(NeighboursTest, ADomainWithConstraintsIsRefusedAlsoBehindAnother) {
  make_orders();
  must("CREATE DOMAIN shop.plain AS text");
  must("CREATE DOMAIN shop.filled AS text CHECK (VALUE <> '')");
  must("CREATE DOMAIN shop.outer_filled AS shop.filled");
  EXPECT_TRUE(try_plan(column("plain")));
  expect_refused(column("filled"), "would rewrite the table");
  expect_refused(column("outer_filled"), "would rewrite the table");
}

TEST_F(NeighboursTest, AValueThatDoesNotFitTheNewTypeNeverFailsItsWriter) {
  make_orders("status bit(3)");
  const auto made = plan(column("bit"));
  must_run(step(made.steps, "dual_write.add_column"));
  must_run(step(made.steps, "dual_write.sync_trigger"));
  must("INSERT INTO shop.orders VALUES (1, 1, B'101')");
  EXPECT_EQ(row("SELECT status, fresh FROM shop.orders"), "101|<null>") << "a mismatch, and no error";
}

TEST_F(NeighboursTest, RightsOnTheOldColumnAloneHoldForTheNewOne) {
  make_orders();
  must("REVOKE ALL ON shop.orders FROM writer");
  must("GRANT SELECT (id, status), UPDATE (status) ON shop.orders TO writer");
  must("INSERT INTO shop.orders VALUES (1, 1, 'a')");
  must_expand(plan(column("text")));
  auto writer = open("writer");
  EXPECT_EQ(*must_on(*writer, "SELECT fresh FROM shop.orders WHERE id = 1").rows.at(0)[0], "a");
  must_on(*writer, "UPDATE shop.orders SET fresh = 'a' WHERE id = 1");
  EXPECT_FALSE(writer->run("SELECT customer FROM shop.orders"));
}

}  // namespace
}  // namespace poundlock::scenario
