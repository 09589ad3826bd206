// What a browser may do here. A page of any site can make the browser on this machine send requests to
// a loopback port; without these checks it could read flags (by DNS rebinding) or post telemetry that
// rolls a rollout back. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/http/message.h"

namespace poundlock::server {

struct BrowserPolicy {
  bool check_host = true;
  std::vector<std::string> hosts;    // names that this server answers to; "*": any
  std::vector<std::string> origins;  // "https://app.example"; "*": any
};

// 403 where the Host is a foreign name or the Origin a foreign site; 204 for a preflight that is granted.
std::optional<Response> check_browser(const BrowserPolicy& policy, const Request& request);
// Adds what lets a listed origin read the answer; nothing for others.
void add_cors(const BrowserPolicy& policy, const Request& request, Response& response);
// Without port, brackets taken off: "[::1]:80" -> "::1".
std::string_view host_name(std::string_view host_header);

}  // namespace poundlock::server
