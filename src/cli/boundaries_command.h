// verify boundaries, a verb below verify.
#pragma once

#include <functional>

#include "cli/context.h"

namespace CLI {
class App;
}

namespace poundlock::cli {

// Answers what runs it: the callback of `verify` comes later and would run verify itself.
std::function<int()> add_boundaries(CLI::App& verify, Context& context);

}  // namespace poundlock::cli
