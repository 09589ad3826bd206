// What keeps PostgreSQL from dropping a legacy column: who depends on it, and what to do about that.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/result.h"
#include "ports/database.h"
#include "rollout/plan.h"

namespace poundlock::engine {

struct Dependent {
  std::string what;     // "view public.v", "policy p on table orders"
  std::string view;     // quoted and qualified; "" where it is none
  bool stored = false;  // a materialized view
  std::string column;   // "public.orders.legacy_status"
};

// Indexes, constraints, defaults and triggers of ours go with the column and are not among them.
Result<std::vector<Dependent>> dependents_of_legacy(ports::Session& session, const rollout::Plan& plan);

// "view public.v reads public.orders.legacy_status; ..." and what to do before the drop.
std::string advice_for(const Dependent& dependent);

// For a shadow that is thrown away, or a transaction that is rolled back: drops the views in the way, as
// their owner will have moved them to the new side by then. Answers what it dropped, in the words of
// advice_for().
Result<std::vector<std::string>> set_views_aside(ports::Session& session, const rollout::Plan& plan);

// The error of a step of the contract with what is in the way in its message, where it is 2BP01; any other as
// it is. `session` is in no failed transaction.
Error explain_refused_drop(ports::Session& session, const rollout::Plan& plan, Error error);

}  // namespace poundlock::engine
