// The identifiers of a statement, read once: who asks for many names looks them up, and parses nothing again.
// Pure; thread-safe.
#pragma once

#include <set>
#include <string>

#include "schema/sql.h"

namespace poundlock::migration {

// As the catalog has them: unquoted words in small letters, keywords among them.
using Words = std::set<std::string, std::less<>>;
Words words_of(const schema::Statement& statement);

}  // namespace poundlock::migration
