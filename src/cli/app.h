// The command line as a whole: parses it, carries the verb out, answers the exit code. Parsing is here and
// in app.cpp alone, since the parser is slow to compile. One thread.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace poundlock::cli {

// `arguments` without the program's name. Fills the global options of the context. Never throws.
int run(Context& context, const std::vector<std::string>& arguments);

}  // namespace poundlock::cli
