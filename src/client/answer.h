// From what a view evaluated to what the application asked for: a value of its type, and the details.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/view.h"
#include "poundlock/details.h"

namespace poundlock::client {

// Nothing where the caller's default holds: no variant, or one of another type. The variant of an override
// for a flag that no snapshot has is read from its name.
std::optional<bool> as_bool(const Evaluated& result);
std::optional<std::string> as_string(const Evaluated& result);
std::optional<std::int64_t> as_int64(const Evaluated& result);
std::optional<double> as_double(const Evaluated& result);
std::optional<std::string> as_object(const Evaluated& result);  // JSON text, keys sorted

// `has_value`: one of the above gave a value. A variant without is a TYPE_MISMATCH.
Details describe(const Evaluated& result, bool has_value);
// Whatever the flag's type.
Details describe(const Evaluated& result);

}  // namespace poundlock::client
