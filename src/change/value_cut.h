// A cast to a type with a length cuts longer values off without a word, where an assignment refuses them: an
// `up` or `down` that casts so would lose the rest of a value with the column it came from.
// Source: PostgreSQL's documentation of character and bit string types. Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/expression.h"

namespace poundlock::change {

// The type of the first cast in the expression that may cut a column's value, as it is written:
// "varchar(8)"; "" where none does. left() and substr() say that cutting is meant. `column_types`: name and
// type of each column that it may read.
std::string cutting_cast(const schema::Expression& expression,
                         const std::vector<std::pair<std::string, std::string>>& column_types);

}  // namespace poundlock::change
