// A request's JSON body and its fields. What is absent or of another type reads as nothing.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/http/message.h"

namespace poundlock::server {

// An empty body is an empty object. kUser: it is no JSON, or no object.
Result<boost::json::object> body_object(const Request& request);

// "" where it is absent, no text, or longer than `bytes_max`.
std::string text_of(const boost::json::object& body, std::string_view key,
                    std::size_t bytes_max = std::string::npos);

// Who gives an order, for the audit trail.
std::string who_of(const boost::json::object& body);

}  // namespace poundlock::server
