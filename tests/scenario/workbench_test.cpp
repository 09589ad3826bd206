// What the checks without a server work on: which shadow is taken, what is refused, what stays.
#include "cli/workbench.h"

#include <sstream>

#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;

class WorkbenchTest : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    for (const char* name : {"given", "given_poundlock_copy", "given_poundlock_copy_intent"})
      must(std::string("DROP DATABASE IF EXISTS ") + name + " WITH (FORCE)");
    must("DROP TABLE IF EXISTS public.\"Order Items\"");
    must("CREATE DATABASE given");
    context_.directory = "/";
  }
  void mark() { must("COMMENT ON DATABASE given IS 'poundlock.shadow = on'"); }
  std::unique_ptr<ports::Session> inside() { return std::move(*database_->sibling("given")->connect()); }
  void fill(int rows) {
    auto session = inside();
    must_on(*session, "CREATE TABLE public.\"Order Items\" (id bigint PRIMARY KEY, note text)");
    must_on(*session, "INSERT INTO public.\"Order Items\" SELECT generate_series(1, $1::int), 'x'",
            {std::to_string(rows)});
    must_on(*session, "ANALYZE public.\"Order Items\"");
  }
  cli::WorkbenchArguments arguments() {
    cli::WorkbenchArguments out;
    out.shadow = cluster_->conninfo("app", "given");
    return out;
  }
  bool exists(const std::string& name) {
    return row("SELECT count(*) FROM pg_database WHERE datname = '" + name + "'") == "1";
  }

  std::ostringstream out_, err_;
  cli::Context context_{.out = out_,
                        .err = err_,
                        .clock = clock_,
                        .environment_variable = [](std::string_view) { return std::nullopt; },
                        .directory = {},
                        .program = {}};
  const std::vector<schema::QualifiedName> tables_{{"public", "Order Items"}};
};

TEST_F(WorkbenchTest, AShadowAloneIsTakenWithItsOwnSchemaAndStaysAsItWas) {
  mark();
  fill(300);
  auto bench = cli::Workbench::open(context_, arguments());
  ASSERT_TRUE(bench) << bench.error().to_string();
  EXPECT_EQ((*bench)->source(), nullptr);
  const auto catalog = (*bench)->catalog();
  ASSERT_TRUE(catalog) << catalog.error().to_string();
  EXPECT_NE(catalog->table(tables_[0]), nullptr);
  auto& shadow = *(*bench)->ports().shadow;
  const auto info = shadow.create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_FALSE(info->kept);
  EXPECT_THAT(info->description, HasSubstr("given_poundlock_copy"));
  ASSERT_EQ(info->tables.size(), 1U);
  EXPECT_EQ(info->tables[0].shadow_rows, 300);
  EXPECT_EQ(info->tables[0].source_rows, -1);
  {
    auto copy = std::move(*shadow.connect());
    must_on(*copy, "DROP TABLE public.\"Order Items\"");
  }
  ASSERT_TRUE(shadow.drop());
  EXPECT_FALSE(exists("given_poundlock_copy") || exists("given_poundlock_copy_intent"));
  EXPECT_EQ(must_on(*inside(), "SELECT count(*) FROM public.\"Order Items\"").rows[0][0], "300");
}

TEST_F(WorkbenchTest, WhereSomebodyIsInTheShadowItIsWorkedOnItself) {
  mark();
  fill(10);
  auto somebody = inside();
  auto bench = std::move(*cli::Workbench::open(context_, arguments()));
  const auto info = bench->ports().shadow->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_TRUE(info->kept);
  EXPECT_FALSE(exists("given_poundlock_copy"));
}

// Killed between CREATE DATABASE and the mark, or before the intent was dropped.
TEST_F(WorkbenchTest, TakesAwayTheCopyOfARunThatWasKilled) {
  mark();
  fill(10);
  must("CREATE DATABASE given_poundlock_copy_intent");
  must("COMMENT ON DATABASE given_poundlock_copy_intent IS 'poundlock.shadow = on'");
  must("CREATE DATABASE given_poundlock_copy TEMPLATE given");
  auto bench = std::move(*cli::Workbench::open(context_, arguments()));
  const auto info = bench->ports().shadow->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_THAT(info->description, HasSubstr("given_poundlock_copy"));
  ASSERT_TRUE(bench->ports().shadow->drop());
  EXPECT_FALSE(exists("given_poundlock_copy") || exists("given_poundlock_copy_intent"));
}

TEST_F(WorkbenchTest, ADatabaseOfThatNameThatIsSomebodysIsLeftAlone) {
  mark();
  fill(10);
  must("CREATE DATABASE given_poundlock_copy TEMPLATE given");
  auto bench = std::move(*cli::Workbench::open(context_, arguments()));
  const auto info = bench->ports().shadow->create(tables_);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, "shadow.unmarked");
  EXPECT_TRUE(exists("given_poundlock_copy"));
}

TEST_F(WorkbenchTest, RefusesAShadowWithoutItsMarkAndOneThatIsProduction) {
  fill(10);
  auto bench = std::move(*cli::Workbench::open(context_, arguments()));
  EXPECT_EQ(bench->catalog().error().code, "shadow.unmarked");
  EXPECT_EQ(bench->ports().shadow->create(tables_).error().code, "shadow.unmarked");
  mark();
  auto both = arguments();
  both.database_url = cluster_->conninfo("postgres", "given");  // another role, the same database
  bench = std::move(*cli::Workbench::open(context_, both));
  EXPECT_EQ(bench->ports().shadow->create(tables_).error().code, "shadow.is_production");
}

TEST_F(WorkbenchTest, FillsAnEmptyShadowFromTheSource) {
  mark();
  auto alone = std::move(*cli::Workbench::open(context_, arguments()));
  EXPECT_EQ(alone->ports().shadow->create(tables_).error().code, "shadow.empty");
  must("CREATE TABLE public.\"Order Items\" (id bigint PRIMARY KEY, note text)");
  must("INSERT INTO public.\"Order Items\" SELECT generate_series(1, 5000), 'x'");
  must("ANALYZE public.\"Order Items\"");
  auto both = arguments();
  both.database_url = cluster_->conninfo();
  both.rows = 500;
  auto bench = std::move(*cli::Workbench::open(context_, both));
  const auto info = bench->ports().shadow->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_EQ(info->tables[0].source_rows, 5000);
  EXPECT_LE(info->tables[0].shadow_rows, 500);
  EXPECT_GT(info->tables[0].source_bytes, info->tables[0].shadow_bytes);
  ASSERT_TRUE(bench->ports().shadow->drop());
  EXPECT_EQ(must_on(*inside(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").rows[0][0], "0");
  must("DROP TABLE public.\"Order Items\"");
}

}  // namespace
}  // namespace poundlock::scenario
