// What a mistyped name of the server's could have been. It is asked for only once the server has said that
// there is none: what goes well costs no request more.
#pragma once

#include <string_view>

#include "base/result.h"
#include "cli/api.h"

namespace poundlock::cli {

// `error` as it is, but where it says that there is no such flag: then with the nearest key as its hint.
Error with_near_flag(Api& api, Error error, std::string_view typed);

// For a word that is neither a flag nor a rollout.
Error no_flag_or_rollout(Api& api, std::string_view typed);

}  // namespace poundlock::cli
