#include "flag/value.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <cmath>
#include <limits>

#include "flag/scratch.h"

namespace poundlock::flag {

namespace {

constexpr int kDepthMax = 32;

double text_number(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos) return 0;
  if (text.front() == '+') text.remove_prefix(1);
  double number = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nan("");
  return number;
}

}  // namespace

Value Value::member(std::string_view key) const {
  if (!is_object()) return {};
  const std::span<const Member> entries = members();
  for (std::size_t i = entries.size(); i-- > 0;) {
    if (entries[i].key == key) return entries[i].value;
  }
  return {};
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull: return false;
    case Value::Kind::kBool: return value.as_bool();
    case Value::Kind::kNumber: return value.as_number() != 0 && !std::isnan(value.as_number());
    case Value::Kind::kString: return !value.as_string().empty();
    case Value::Kind::kArray: return !value.items().empty();
    case Value::Kind::kObject: return !value.members().empty();
  }
  return false;
}

double comparison_number(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull: return 0;
    case Value::Kind::kBool: return value.as_bool() ? 1 : 0;
    case Value::Kind::kNumber: return value.as_number();
    case Value::Kind::kString: return text_number(value.as_string());
    case Value::Kind::kArray:
    case Value::Kind::kObject: break;
  }
  return std::nan("");
}

bool loosely_equal(const Value& a, const Value& b) {
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  if (a.is_string() && b.is_string()) return a.as_string() == b.as_string();
  return comparison_number(a) == comparison_number(b);
}

bool strictly_equal(const Value& a, const Value& b) {
  return a.kind() == b.kind() && loosely_equal(a, b);
}

bool less(const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) return a.as_string() < b.as_string();
  return comparison_number(a) < comparison_number(b);
}

std::string_view number_text(double number, std::span<char, kNumberText> buffer) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "+Inf" : "-Inf";
  if (number == 0) return "0";
  auto [end, code] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::fixed);
  if (code != std::errc{}) return "NaN";
  return {buffer.data(), static_cast<std::size_t>(end - buffer.data())};
}

namespace {

Value structured(const boost::json::value& json, Scratch& scratch, int depth) {
  if (const auto* array = json.if_array()) {
    std::span<Value> items = scratch.make<Value>(array->size());
    for (std::size_t i = 0; i < items.size(); ++i) items[i] = from_json((*array)[i], scratch, depth + 1);
    return Value::array(items);
  }
  const auto& object = json.get_object();
  std::span<Member> members = scratch.make<Member>(object.size());
  auto entry = object.begin();
  for (std::size_t i = 0; i < members.size(); ++i, ++entry) {
    members[i] = {{entry->key().data(), entry->key().size()}, from_json(entry->value(), scratch, depth + 1)};
  }
  return Value::object(members);
}

}  // namespace

Value from_json(const boost::json::value& json, Scratch& scratch, int depth) {
  if (depth > kDepthMax) return {};
  if (depth == 0 && json.is_structured()) {
    if (const Value* made = scratch.made_of(&json)) return *made;
    return scratch.remember(&json, structured(json, scratch, 0));
  }
  switch (json.kind()) {
    case boost::json::kind::null: return {};
    case boost::json::kind::bool_: return Value::boolean(json.get_bool());
    case boost::json::kind::int64: return Value::number(static_cast<double>(json.get_int64()));
    case boost::json::kind::uint64: return Value::number(static_cast<double>(json.get_uint64()));
    case boost::json::kind::double_: return Value::number(json.get_double());
    case boost::json::kind::string: return Value::text({json.get_string().data(), json.get_string().size()});
    case boost::json::kind::array:
    case boost::json::kind::object: return structured(json, scratch, depth);
  }
  return {};
}

boost::json::value to_json(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull: return nullptr;
    case Value::Kind::kBool: return value.as_bool();
    case Value::Kind::kNumber: {
      const double number = value.as_number();
      // Whole numbers are written without a fraction, as they were read.
      if (std::trunc(number) == number && std::fabs(number) < 9007199254740992.0) {
        return static_cast<std::int64_t>(number);
      }
      return number;
    }
    case Value::Kind::kString: return boost::json::string(value.as_string());
    case Value::Kind::kArray: {
      boost::json::array array;
      for (const Value& item : value.items()) array.push_back(to_json(item));
      return array;
    }
    case Value::Kind::kObject: {
      boost::json::object object;
      for (const Member& entry : value.members()) object[entry.key] = to_json(entry.value);
      return object;
    }
  }
  return nullptr;
}

}  // namespace poundlock::flag
