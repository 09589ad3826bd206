// Plays an application's statements on threads of its own and samples who waits for a lock.
#pragma once

#include <memory>

#include "base/time.h"
#include "ports/traffic.h"

namespace poundlock::postgres {

// `clock` outlives it. stop() is called by the destructor where it was not before.
std::unique_ptr<ports::Traffic> make_traffic(Clock& clock);

}  // namespace poundlock::postgres
