// Reading and writing JSON values; parsing is in json.cpp.
#include <fmt/format.h>

#include <cmath>

#include "base/json.h"
#include "base/strings.h"

namespace poundlock::json {
namespace {

std::string_view view(const boost::json::string& text) {
  return {text.data(), text.size()};
}

void write_text(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const std::size_t bad = first_invalid_utf8(text);
    for (const char character : text.substr(0, bad)) {
      const auto byte = static_cast<unsigned char>(character);
      switch (character) {
        case '"': out += "\\\""; break;
        case '\\': out += "\\\\"; break;
        case '\n': out += "\\n"; break;
        case '\r': out += "\\r"; break;
        case '\t': out += "\\t"; break;
        default:
          if (byte < 0x20) {
            out += fmt::format("\\u{:04x}", byte);
          } else {
            out += character;
          }
      }
    }
    if (bad == std::string_view::npos) break;
    out += "\xEF\xBF\xBD";  // U+FFFD: a reader must not choke on what a database or a header held
    text.remove_prefix(bad + 1);
  }
  out += '"';
}

void write_double(double number, std::string& out) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  const std::string digits = fmt::format("{}", number);
  out += digits;
  // 1 would be read back as a whole number.
  if (digits.find_first_of(".e") == std::string::npos) out += ".0";
}

void write(const Value& value, std::string& out);

void write(const Object& object, std::string& out) {
  out += '{';
  bool first = true;
  for (const auto& entry : object) {
    if (!first) out += ',';
    first = false;
    write_text({entry.key().data(), entry.key().size()}, out);
    out += ':';
    write(entry.value(), out);
  }
  out += '}';
}

void write(const Value& value, std::string& out) {
  switch (value.kind()) {
    case boost::json::kind::null: out += "null"; return;
    case boost::json::kind::bool_: out += value.get_bool() ? "true" : "false"; return;
    case boost::json::kind::int64: out += fmt::format("{}", value.get_int64()); return;
    case boost::json::kind::uint64: out += fmt::format("{}", value.get_uint64()); return;
    case boost::json::kind::double_: write_double(value.get_double(), out); return;
    case boost::json::kind::string: write_text(view(value.get_string()), out); return;
    case boost::json::kind::object: write(value.get_object(), out); return;
    case boost::json::kind::array: break;
  }
  out += '[';
  bool first = true;
  for (const auto& item : value.get_array()) {
    if (!first) out += ',';
    first = false;
    write(item, out);
  }
  out += ']';
}

std::string found(const Value& value) {
  if (value.is_string()) return fmt::format("the text {}", quote_for_message(view(value.get_string())));
  if (value.is_object() || value.is_array() || value.is_null()) return kind_of(value);
  return dump(value);
}

tl::unexpected<Error> mismatch(const char* code, std::string_view what, std::string_view expected,
                               const Value& value) {
  return fail(user_error(code, fmt::format("{}: expected {}, found {}", what, expected, found(value))));
}

std::string int_range(std::int64_t min, std::int64_t max) {
  if (min == kIntMin && max == kIntMax) return "a whole number";
  if (max == kIntMax) return fmt::format("a whole number from {} up", min);
  if (min == kIntMin) return fmt::format("a whole number up to {}", max);
  return fmt::format("a whole number from {} to {}", min, max);
}

std::string double_range(double min, double max) {
  if (min <= -kDoubleMax && max >= kDoubleMax) return "a number";
  if (max >= kDoubleMax) return fmt::format("a number from {} up", min);
  if (min <= -kDoubleMax) return fmt::format("a number up to {}", max);
  return fmt::format("a number from {} to {}", min, max);
}

Result<const Value*> required(const Object& object, std::string_view key) {
  if (const Value* value = find(object, key)) return value;
  return fail(user_error("json.missing_key", fmt::format("the key '{}' is missing", key)));
}

}  // namespace

std::string dump(const Value& value) {
  std::string out;
  write(value, out);
  return out;
}

std::string dump(const Object& object) {
  std::string out;
  write(object, out);
  return out;
}

const char* kind_of(const Value& value) {
  switch (value.kind()) {
    case boost::json::kind::null: return "null";
    case boost::json::kind::bool_: return "true or false";
    case boost::json::kind::int64:
    case boost::json::kind::uint64: return "a whole number";
    case boost::json::kind::double_: return "a number";
    case boost::json::kind::string: return "text";
    case boost::json::kind::array: return "a list";
    case boost::json::kind::object: return "an object";
  }
  return "null";
}

const Value* find(const Object& object, std::string_view key) {
  const Value* value = object.if_contains({key.data(), key.size()});
  return value && !value->is_null() ? value : nullptr;
}

Result<std::string> as_string(const Value& value, std::string_view what) {
  if (!value.is_string()) return mismatch("json.type", what, "text", value);
  return std::string(view(value.get_string()));
}

Result<std::int64_t> as_int(const Value& value, std::string_view what, std::int64_t min, std::int64_t max) {
  if (value.is_uint64()) {
    // Above INT64_MAX when parsed, but a program may put small ones in.
    if (value.get_uint64() > static_cast<std::uint64_t>(max < 0 ? 0 : max)) {
      return mismatch("json.range", what, int_range(min, max), value);
    }
  } else if (!value.is_int64()) {
    return mismatch("json.type", what, int_range(min, max), value);
  }
  const std::int64_t number =
      value.is_int64() ? value.get_int64() : static_cast<std::int64_t>(value.get_uint64());
  if (number < min || number > max) return mismatch("json.range", what, int_range(min, max), value);
  return number;
}

Result<std::uint64_t> as_uint(const Value& value, std::string_view what, std::uint64_t max) {
  const std::string expected =
      max == kUintMax ? "a whole number from 0 up" : fmt::format("a whole number from 0 to {}", max);
  if (!value.is_int64() && !value.is_uint64()) return mismatch("json.type", what, expected, value);
  if (value.is_int64() && value.get_int64() < 0) return mismatch("json.range", what, expected, value);
  const std::uint64_t number =
      value.is_uint64() ? value.get_uint64() : static_cast<std::uint64_t>(value.get_int64());
  if (number > max) return mismatch("json.range", what, expected, value);
  return number;
}

Result<double> as_double(const Value& value, std::string_view what, double min, double max) {
  double number = 0;
  if (value.is_double()) {
    number = value.get_double();
  } else if (value.is_int64()) {
    number = static_cast<double>(value.get_int64());
  } else if (value.is_uint64()) {
    number = static_cast<double>(value.get_uint64());
  } else {
    return mismatch("json.type", what, double_range(min, max), value);
  }
  // Written so that NaN, which only a program can put in, is refused too.
  if (!(number >= min && number <= max)) return mismatch("json.range", what, double_range(min, max), value);
  return number;
}

Result<bool> as_bool(const Value& value, std::string_view what) {
  if (!value.is_bool()) return mismatch("json.type", what, "true or false", value);
  return value.get_bool();
}

Result<const Object*> as_object(const Value& value, std::string_view what) {
  if (!value.is_object()) return mismatch("json.type", what, "an object", value);
  return &value.get_object();
}

Result<const Array*> as_array(const Value& value, std::string_view what) {
  if (!value.is_array()) return mismatch("json.type", what, "a list", value);
  return &value.get_array();
}

Result<std::string> get_string(const Object& object, std::string_view key) {
  PL_TRY(const Value* value, required(object, key));
  return as_string(*value, key);
}
Result<std::int64_t> get_int(const Object& object, std::string_view key, std::int64_t min, std::int64_t max) {
  PL_TRY(const Value* value, required(object, key));
  return as_int(*value, key, min, max);
}
Result<std::uint64_t> get_uint(const Object& object, std::string_view key, std::uint64_t max) {
  PL_TRY(const Value* value, required(object, key));
  return as_uint(*value, key, max);
}
Result<double> get_double(const Object& object, std::string_view key, double min, double max) {
  PL_TRY(const Value* value, required(object, key));
  return as_double(*value, key, min, max);
}
Result<bool> get_bool(const Object& object, std::string_view key) {
  PL_TRY(const Value* value, required(object, key));
  return as_bool(*value, key);
}
Result<const Object*> get_object(const Object& object, std::string_view key) {
  PL_TRY(const Value* value, required(object, key));
  return as_object(*value, key);
}
Result<const Array*> get_array(const Object& object, std::string_view key) {
  PL_TRY(const Value* value, required(object, key));
  return as_array(*value, key);
}

Result<std::optional<std::string>> optional_string(const Object& object, std::string_view key) {
  const Value* value = find(object, key);
  if (!value) return std::nullopt;
  return as_string(*value, key);
}
Result<std::optional<std::int64_t>> optional_int(const Object& object, std::string_view key, std::int64_t min,
                                                 std::int64_t max) {
  const Value* value = find(object, key);
  if (!value) return std::nullopt;
  return as_int(*value, key, min, max);
}
Result<std::optional<std::uint64_t>> optional_uint(const Object& object, std::string_view key,
                                                   std::uint64_t max) {
  const Value* value = find(object, key);
  if (!value) return std::nullopt;
  return as_uint(*value, key, max);
}
Result<std::optional<double>> optional_double(const Object& object, std::string_view key, double min,
                                              double max) {
  const Value* value = find(object, key);
  if (!value) return std::nullopt;
  return as_double(*value, key, min, max);
}
Result<std::optional<bool>> optional_bool(const Object& object, std::string_view key) {
  const Value* value = find(object, key);
  if (!value) return std::nullopt;
  PL_TRY(const bool answer, as_bool(*value, key));
  return std::optional<bool>(answer);
}
Result<const Object*> optional_object(const Object& object, std::string_view key) {
  const Value* value = find(object, key);
  if (!value) return nullptr;
  return as_object(*value, key);
}
Result<const Array*> optional_array(const Object& object, std::string_view key) {
  const Value* value = find(object, key);
  if (!value) return nullptr;
  return as_array(*value, key);
}

}  // namespace poundlock::json
