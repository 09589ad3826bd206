// Rows that are given a value once, as a DO block that commits each batch by itself. Pure; thread-safe.
#pragma once

#include <string>

#include "change/step.h"

namespace poundlock::migration {

// In the order of the key, up to the key that is the highest when it begins: a row that the application
// changes behind it keeps the application's value. `in_step.key` is not empty.
std::string batched_once(const change::InStep& in_step, Millis lock_timeout);

}  // namespace poundlock::migration
