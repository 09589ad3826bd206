// What a rollout's flag says at one moment, compiled to flagd's form. Internal to rollout; pure.
#pragma once

#include <boost/json/object.hpp>

#include "base/result.h"
#include "rollout/plan.h"

namespace poundlock::rollout {

// {"KEY": {...}, "KEY.stage": {...}}. Errors are kUser: a stage or a percentage that does not exist.
Result<boost::json::object> compile_setting(const FlagSpec& flag, const FlagSetting& setting);

}  // namespace poundlock::rollout
