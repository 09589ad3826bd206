#include "server/http/policy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace poundlock::server {
namespace {

bool lists(const std::vector<std::string>& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& one) { return one == "*" || one == text; });
}

// An address cannot be rebound to another one; a name can.
bool is_address(std::string_view text) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  const std::string name(text);
  return inet_pton(AF_INET, name.c_str(), ignored.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), ignored.data()) == 1;
}

bool is_own(std::string_view origin, std::string_view host) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme) && origin.substr(scheme.size()) == host) return true;
  }
  return false;
}

bool starts_with_any_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
           return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
         });
}

// Whom the request is meant for. Of a target in absolute form its authority, and Host is ignored then
// (RFC 9112, section 3.2.2): a page that can choose one of the two must not get past the check of the other.
std::string_view host_of(const Request& request) {
  const std::string_view target = request.target;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!starts_with_any_case(target, scheme)) continue;
    const auto rest = target.substr(scheme.size());
    return rest.substr(0, rest.find_first_of("/?#"));
  }
  return request.header("host");
}

}  // namespace

std::string_view host_name(std::string_view host) {
  if (!host.empty() && host.front() == '[') {
    const auto end = host.find(']');
    return end == std::string_view::npos ? std::string_view{} : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

std::optional<Response> check_browser(const BrowserPolicy& policy, const Request& request) {
  const auto host = host_of(request);
  const auto name = host_name(host);
  if (policy.check_host && !host.empty() && name != "localhost" && !is_address(name) &&
      !lists(policy.hosts, name)) {
    return error_response(403, "http.host", "this server does not answer to that host name",
                          "use its address, or list the name in the server's hosts");
  }
  const auto origin = request.header("origin");
  if (origin.empty() || is_own(origin, host)) return std::nullopt;
  if (!lists(policy.origins, origin)) {
    return error_response(403, "http.origin", "a page of another site may not use this server",
                          "list the site in the server's origins");
  }
  if (request.method != "OPTIONS" || request.header("access-control-request-method").empty())
    return std::nullopt;
  Response granted;
  granted.status = 204;
  granted.headers = {{"Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"},
                     {"Access-Control-Allow-Headers",
                      "authorization, content-type, flagd-selector, if-none-match, last-event-id, x-api-key"},
                     {"Access-Control-Max-Age", "600"}};
  return granted;
}

void add_cors(const BrowserPolicy& policy, const Request& request, Response& response) {
  const auto origin = request.header("origin");
  if (origin.empty() || !lists(policy.origins, origin)) return;
  response.headers.emplace_back("Access-Control-Allow-Origin", origin);
  response.headers.emplace_back("Access-Control-Expose-Headers", "ETag, Retry-After");
  response.headers.emplace_back("Vary", "Origin");
}

}  // namespace poundlock::server
