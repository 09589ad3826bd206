// What the sync has to know about types: whether equality is exact, and whether a conversion can fail.
// Only what is certain is answered with true; every unknown type is treated as the careful case.
// Pure functions; thread-safe. Source: PostgreSQL's pg_cast and the types' equality operators.
#pragma once

#include <string>
#include <string_view>

namespace poundlock::change {

// "VARCHAR( 32 )" and "pg_catalog.varchar(32)" are "character varying(32)"; other names lower-cased only
// where they are unquoted. As format_type() prints the built-in types.
std::string canonical_type(std::string_view type);

// Equal values of the type always have the same image. Not so for numeric (1.0 and 1.00), floats (0 and
// -0), char(n), interval, jsonb and everything made by extensions (citext).
bool equality_is_exact(std::string_view type);

// A collatable type; its equality is exact only under a deterministic collation.
bool is_textual(std::string_view type);

// `(value)::to` never raises for any value of `from`.
bool cast_is_safe(std::string_view from, std::string_view to);
// Assigning a value of `from` to a column of `to` never raises. Stricter than a cast: 'too long' assigned
// to varchar(3) raises, while the cast cuts it.
bool assignment_is_safe(std::string_view from, std::string_view to);

// The same type without its length, where a cast to `type` cuts longer values off that an assignment refuses:
// "character varying" of varchar(8). "" for any other type, and for arrays.
std::string whole_type(std::string_view type);

}  // namespace poundlock::change
