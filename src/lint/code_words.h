// The words of code that is not parsed, a DO block's: as they are written, and in lower case, as PostgreSQL
// folds a name without quotes. Names with other characters than letters, digits and _ come apart.
// Pure; thread-safe.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace poundlock::lint {

std::set<std::string, std::less<>> code_words(std::string_view code);

}  // namespace poundlock::lint
