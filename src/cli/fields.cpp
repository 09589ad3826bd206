#include "cli/fields.h"

#include <boost/json.hpp>

namespace poundlock::cli {

namespace bj = boost::json;

std::string text_at(const bj::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->as_string()) : std::string();
}

std::optional<double> number_at(const bj::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (!value || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

bool bool_at(const bj::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value && value->is_bool() && value->as_bool();
}

const bj::array& list_at(const bj::object& object, std::string_view key) {
  static const bj::array kNone;
  const auto* value = object.if_contains(key);
  return value && value->is_array() ? value->as_array() : kNone;
}

const bj::object& object_at(const bj::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value ? element(*value) : element(bj::value());
}

const bj::object& element(const bj::value& value) {
  static const bj::object kNone;
  return value.is_object() ? value.as_object() : kNone;
}

}  // namespace poundlock::cli
