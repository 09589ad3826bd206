#include "server/body.h"

#include <boost/json.hpp>

#include "base/json.h"

namespace poundlock::server {

namespace bj = boost::json;

Result<bj::object> body_object(const Request& request) {
  if (request.body.empty()) return bj::object{};
  PL_TRY(auto value, json::parse(request.body, "the request's body"));
  if (!value.is_object()) return fail(user_error("http.body", "the body is not a JSON object"));
  return std::move(value.as_object());
}

std::string text_of(const bj::object& body, std::string_view key, std::size_t bytes_max) {
  const auto* value = body.if_contains(key);
  if (!value || !value->is_string() || value->as_string().size() > bytes_max) return {};
  return std::string(value->as_string());
}

std::string who_of(const bj::object& body) {
  std::string who = text_of(body, "who");
  return who.empty() ? "operator" : who;
}

}  // namespace poundlock::server
