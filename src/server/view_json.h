// What the API tells about a rollout. The same words that the command line prints (rollout::Report).
#pragma once

#include <boost/json/object.hpp>

#include "base/time.h"
#include "server/driver.h"

namespace poundlock::server {

boost::json::object view_json(const RolloutView& view, TimePoint now);
boost::json::object view_summary_json(const RolloutView& view);

}  // namespace poundlock::server
