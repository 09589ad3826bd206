// Following a rollout on the server until something is so: live on a terminal, lines elsewhere. A server
// that does not answer is tried again for a minute, so that its restart ends no wait. One thread.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <string>

#include "base/result.h"
#include "cli/api.h"
#include "cli/context.h"
#include "cli/view.h"

namespace poundlock::cli {

Look look_of(const Context& context);

// Asks every `every` until the condition holds, and answers that view. kRefused "wait.limit" when `until`
// (steady time; 0 for never) has passed.
Result<boost::json::object> wait_until(Context& context, Api& api, const std::string& name, TimePoint until,
                                       Millis every,
                                       const std::function<bool(const boost::json::object&)>& condition);

struct FollowOptions {
  bool until_verdict = false;  // ends also at a pause or a rollback: a pipeline wants its verdict
  Millis limit{0};             // 0: none
};
// Answers the exit code: with until_verdict the verdict's, else 0 once the rollout is closed.
int follow(Context& context, Api& api, const std::string& name, const FollowOptions& options);

}  // namespace poundlock::cli
