// A rollout file that a decision offers is read back before it is offered: what `plan` of that very file
// would refuse helps nobody. Pure; thread-safe.
#pragma once

#include <cstddef>
#include <vector>

#include "migration/sql_plan.h"
#include "schema/catalog.h"

namespace poundlock::migration {

// Rollouts that are read back of one plan; behind them none is offered.
inline constexpr std::size_t kReadBackMax = 1'000;

// Takes back the rollouts that the catalog's plan refuses, with the reason in their decision's words. One
// that holds a word for a person to replace (OLD_COLUMN, OLD_TYPE) stays. No choice asks for the
// database that is there.
void read_back(std::vector<Decision>& decisions, const schema::Catalog& catalog);

}  // namespace poundlock::migration
