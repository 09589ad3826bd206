// A step as JSON and back; every field, so that what is read equals what was written. Pure, thread-safe.
#pragma once

#include <boost/json/value.hpp>

#include "base/result.h"
#include "change/step.h"

namespace poundlock::change {

boost::json::value to_json(const Step& step);
Result<Step> step_from_json(const boost::json::value& value);  // errors name the key

}  // namespace poundlock::change
