// What a SQLSTATE means for whoever made the call: its disposition and our stable code. Pure.
// Source: PostgreSQL documentation, appendix A "PostgreSQL Error Codes".
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace poundlock::postgres {

// Raised by our fence in the target database when a newer generation holds the rollout. Class "PL" is
// none of PostgreSQL's.
inline constexpr std::string_view kStaleGenerationState = "PLGEN";

struct StateMeaning {
  Disposition disposition = Disposition::kUser;
  std::string code;  // "pg.lock_timeout"; otherwise "pg." and the SQLSTATE
  std::string hint;  // may be empty
};

StateMeaning meaning_of(std::string_view sqlstate);

// True for errors that end the session itself (server shutting down, backend terminated): the connection
// is gone whatever libpq still believes.
bool ends_session(std::string_view sqlstate);

}  // namespace poundlock::postgres
