// The one thread in the core: libpg_query recurses as deep as the SQL nests, and 30,000 terms of 1+1+...
// overflow a thread's usual 8 MB and end the process.
#pragma once

#include <functional>

#include "base/result.h"

namespace poundlock::schema {

inline constexpr std::size_t kLargeStackBytes = std::size_t{256} << 20;

// Runs `work` to its end on a new thread with a 256 MB stack (reserved, touched only as used) while the
// caller waits. 30 to 60 us a call. Fails with "schema.no_thread" (kRetry) when the system has no room for
// a thread. Thread-safe. `work` must not throw.
Status run_with_large_stack(const std::function<void()>& work);

}  // namespace poundlock::schema
