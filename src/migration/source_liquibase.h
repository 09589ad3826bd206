// Liquibase's formatted SQL: a file of changesets, each begun by a comment with its author, id and settings.
// Used by read_sources() alone. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "migration/source.h"

namespace poundlock::migration {

bool is_liquibase(std::string_view text);  // by the first line that is not blank

Result<std::vector<Source>> read_changesets(std::string_view text, const std::string& file);

}  // namespace poundlock::migration
