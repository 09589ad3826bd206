// Changes of rows that a second run would make again: 'total = total * 1.19' twice is another total. Pure;
// thread-safe.
#pragma once

#include <string_view>

#include "schema/sql.h"

namespace poundlock::migration {

// An UPDATE whose new value is made of the old one, or an INSERT that asks for no conflict, also within WITH.
// True where it cannot be told; false for lower(), coalesce() and their like, which a second time change
// nothing.
bool only_once(const schema::Statement& statement);
bool only_once(std::string_view sql);  // one statement; false where it does not parse

}  // namespace poundlock::migration
