// JSON, read strictly: duplicate keys, deep nesting, bad UTF-8, text after the value and numbers that
// no double holds are errors with a line and a column. Everything here is pure and thread-safe.
// Error codes: json.syntax, json.duplicate_key, json.depth, json.size, json.type, json.range,
// json.missing_key; all are user errors.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace poundlock::json {

using Value = boost::json::value;
using Object = boost::json::object;
using Array = boost::json::array;

struct Limits {
  std::size_t bytes_max = 1 << 20;
  std::size_t depth_max = 32;
  std::size_t nodes_max = 100'000;  // values and keys together
};
// For what Poundlock wrote itself. The state of a rollout with 200 paths holds some half a million nodes:
// under the limits for strangers it could be written and never read again.
inline constexpr Limits kOwnLimits{16 << 20, 96, 16'000'000};

// `file` is what errors call the text: a file's name, or "request body". A fraction or an exponent
// makes a number a double (the nearest one), otherwise it is int64, or uint64 above INT64_MAX.
Result<Value> parse(std::string_view text, std::string file, const Limits& limits = {});

// One line, keys in the order of the object, doubles in their shortest form that reads back the same.
// Equal values built in the same order give equal bytes. What JSON cannot say is written so that the
// result can still be read: NaN and infinities as null, bytes that are no UTF-8 as U+FFFD.
std::string dump(const Value& value);
std::string dump(const Object& object);

const char* kind_of(const Value& value);  // "text", "a whole number", "a list", "an object", "null", ...

// nullptr where the key is absent or null: for a reader the two mean the same.
const Value* find(const Object& object, std::string_view key);

// Each names what was expected and what stands there; `what` is the name for the message.
inline constexpr std::int64_t kIntMin = std::numeric_limits<std::int64_t>::min();
inline constexpr std::int64_t kIntMax = std::numeric_limits<std::int64_t>::max();
inline constexpr std::uint64_t kUintMax = std::numeric_limits<std::uint64_t>::max();
inline constexpr double kDoubleMax = std::numeric_limits<double>::max();
Result<std::string> as_string(const Value& value, std::string_view what);
Result<std::int64_t> as_int(const Value& value, std::string_view what, std::int64_t min = kIntMin,
                            std::int64_t max = kIntMax);
Result<std::uint64_t> as_uint(const Value& value, std::string_view what, std::uint64_t max = kUintMax);
Result<double> as_double(const Value& value, std::string_view what, double min = -kDoubleMax,
                         double max = kDoubleMax);
Result<bool> as_bool(const Value& value, std::string_view what);
Result<const Object*> as_object(const Value& value, std::string_view what);
Result<const Array*> as_array(const Value& value, std::string_view what);

// The same for a key that must be there. The pointers live as long as the object.
Result<std::string> get_string(const Object& object, std::string_view key);
Result<std::int64_t> get_int(const Object& object, std::string_view key, std::int64_t min = kIntMin,
                             std::int64_t max = kIntMax);
Result<std::uint64_t> get_uint(const Object& object, std::string_view key, std::uint64_t max = kUintMax);
Result<double> get_double(const Object& object, std::string_view key, double min = -kDoubleMax,
                          double max = kDoubleMax);
Result<bool> get_bool(const Object& object, std::string_view key);
Result<const Object*> get_object(const Object& object, std::string_view key);
Result<const Array*> get_array(const Object& object, std::string_view key);

// The same for a key that may be absent or null; a wrong type is still an error.
Result<std::optional<std::string>> optional_string(const Object& object, std::string_view key);
Result<std::optional<std::int64_t>> optional_int(const Object& object, std::string_view key,
                                                 std::int64_t min = kIntMin, std::int64_t max = kIntMax);
Result<std::optional<std::uint64_t>> optional_uint(const Object& object, std::string_view key,
                                                   std::uint64_t max = kUintMax);
Result<std::optional<double>> optional_double(const Object& object, std::string_view key,
                                              double min = -kDoubleMax, double max = kDoubleMax);
Result<std::optional<bool>> optional_bool(const Object& object, std::string_view key);
Result<const Object*> optional_object(const Object& object, std::string_view key);  // nullptr: absent
Result<const Array*> optional_array(const Object& object, std::string_view key);    // nullptr: absent

}  // namespace poundlock::json
