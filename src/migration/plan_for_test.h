// Plans one script in tests, and takes the plan apart. A script that cannot be planned is a failure there.
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "migration/sql_plan.h"

namespace poundlock::migration {

inline SqlPlan planned(std::string sql, const schema::Catalog* catalog, bool in_transaction) {
  const Source source{.file = "m.sql", .in_transaction = in_transaction, .sql = std::move(sql)};
  auto plan = plan_sql(std::span(&source, 1), catalog);
  EXPECT_TRUE(plan) << plan.error().to_string();
  return plan ? *std::move(plan) : SqlPlan{};
}

inline std::vector<std::string> sql_of(const SqlPlan& plan) {
  std::vector<std::string> out;
  for (const auto& one : plan.steps) out.push_back(sql_text(one.step));
  return out;
}

inline std::vector<int> groups_of(const SqlPlan& plan) {
  std::vector<int> out;
  for (const auto& one : plan.steps) out.push_back(one.transaction_group);
  return out;
}

}  // namespace poundlock::migration
