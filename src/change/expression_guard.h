// A first statement for an expand: refuses, before anything is changed, an `up` or `down` whose value depends
// on the session that computes it (DateStyle, TimeZone, search_path ...), for the trigger runs in the
// application's sessions and the backfill in ours; and one that calls what not every writer may execute.
// Pure functions; thread-safe.
#pragma once

#include <string>

#include "change/sync.h"

namespace poundlock::change {

// A DO block. It makes a view of the two expressions, reads what PostgreSQL understood them to call, and
// drops it again; the transaction leaves nothing. Raises 22023 for the session, 42501 for the rights.
std::string expression_guard(const SyncSpec& spec);

}  // namespace poundlock::change
