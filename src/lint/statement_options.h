// The options in a statement's brackets or behind its WITH: VACUUM (FULL), REINDEX (CONCURRENTLY off).
// Pure; thread-safe.
#pragma once

#include <cstddef>
#include <string_view>

struct PgQuery__DefElem;
struct PgQuery__Node;

namespace poundlock::lint {

// The last one of that name, as PostgreSQL takes it; nullptr: there is none.
const PgQuery__DefElem* find_option(PgQuery__Node* const* options, std::size_t count, std::string_view name);

// As PostgreSQL's defGetBoolean reads it: an option without a value is on; off, false and 0 are off.
bool option_is_on(const PgQuery__DefElem& option);
bool has_option(PgQuery__Node* const* options, std::size_t count, std::string_view name);  // and it is on

}  // namespace poundlock::lint
