// What all evaluations of one request may take together.
#pragma once

#include <cstdint>

namespace poundlock::server {

// Steps of rules (flag/snapshot.h). A flag may take a million of them; thousands of such flags in one request
// would hold the thread that answers everybody for minutes. Once they are used up, rules that search lists or
// texts answer GENERAL, and plain ones answer as ever.
inline constexpr std::int64_t kBulkStepsMax = 4'000'000;

}  // namespace poundlock::server
