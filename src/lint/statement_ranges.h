// Where the statements of a script stand, also those that the grammar refuses: parse_script() tells the
// places of errors alone, and a comment or the server's parser needs the whole statement. Pure; thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "schema/scan.h"

namespace poundlock::lint {

// In order, without comments around them and without semicolons. Empty where the text cannot be scanned.
std::vector<schema::ByteRange> statement_ranges(std::string_view script);

}  // namespace poundlock::lint
