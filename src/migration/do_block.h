// Code that runs by itself. Pure; thread-safe.
#pragma once

#include <string>

namespace poundlock::migration {

// "DO $poundlock$...$poundlock$;" by a tag that `body` does not hold: an author's text may hold any, and
// would end the block there, so that what follows would run by itself.
std::string do_block(const std::string& body);

}  // namespace poundlock::migration
