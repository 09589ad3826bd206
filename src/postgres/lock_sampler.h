// ports::LockSampler with a thread and a session of its own.
#pragma once

#include <memory>

#include "base/time.h"
#include "ports/lock_sampler.h"

namespace poundlock::postgres {

// `clock` outlives it.
std::unique_ptr<ports::LockSampler> make_lock_sampler(Clock& clock);

}  // namespace poundlock::postgres
