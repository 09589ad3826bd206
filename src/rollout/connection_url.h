// Connection strings as libpq takes them: postgres://... and "host=... dbname=...". Where do passwords
// stand in them, and how do variables get in? Pure; thread-safe. Grammar: PostgreSQL manual, 34.1.1.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace poundlock::rollout {

// The value of a variable, nullopt where it is not set. Programs pass the environment.
using Lookup = std::function<std::optional<std::string>(std::string_view)>;

// "config.password" where a password is written out (one that is a ${NAME} is not), "config.url" where
// the text is no connection string. Both kUser, without a place.
Status check_url(std::string_view url);
bool has_password(std::string_view url);  // written out or as ${NAME}

// Replaces each ${NAME}. In the user:password part of a URL the value is percent-encoded, so that a
// password with @ or / works as it stands; elsewhere it is taken as it is. Errors: "config.variable"
// (not set; the message names it), "config.url".
Result<std::string> expand_url(std::string_view url, const Lookup& lookup);

// For people and logs: every password as ***.
std::string without_password(std::string_view url);

}  // namespace poundlock::rollout
