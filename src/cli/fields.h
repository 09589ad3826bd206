// Fields of the server's JSON for display: what is absent or of another type reads as nothing, so that a
// newer server with other fields is still shown. Pure; thread-safe.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace poundlock::cli {

std::string text_at(const boost::json::object& object, std::string_view key);  // "" where absent
std::optional<double> number_at(const boost::json::object& object, std::string_view key);
bool bool_at(const boost::json::object& object, std::string_view key);
const boost::json::array& list_at(const boost::json::object& object, std::string_view key);
const boost::json::object& object_at(const boost::json::object& object, std::string_view key);
// The elements of the list that are objects.
const boost::json::object& element(const boost::json::value& value);

}  // namespace poundlock::cli
