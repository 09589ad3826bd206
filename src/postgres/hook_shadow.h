// A shadow that somebody's commands make and take away: a snapshot restored, a volume cloned, a replica
// promoted. `create` prints the database's URL as its last line; `destroy` finds that URL in the variable
// POUNDLOCK_SHADOW_URL, empty where create did not get so far. The database bears the mark as every shadow.
//
// destroy runs always, once: also when create fails, and when we are killed, since a small guard process
// runs it as soon as it sees us gone. Both are run by sh, in a process group of their own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "ports/shadow.h"
#include "postgres/database.h"

namespace poundlock::postgres {

struct HookOptions {
  std::string create, destroy;    // for sh -c; neither is empty
  Millis limit{30 * 60 * 1000};   // of each; create is killed then, and destroy is no longer waited for
  std::function<bool()> stopped;  // polled while create runs; may be empty
  // The shadow on the database that create named; given, with what the caller wants of it.
  std::function<std::unique_ptr<ports::Shadow>(std::unique_ptr<PgDatabase>)> on;
};

// `clock` outlives it. Errors of create(): kUser "shadow.create" with what the command wrote to standard
// error, kRetry "shadow.create_timeout".
std::unique_ptr<ports::Shadow> make_hook_shadow(Clock& clock, HookOptions options);

}  // namespace poundlock::postgres
