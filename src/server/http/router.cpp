#include "server/http/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace poundlock::server {
namespace {

bool is_param(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

// Orders patterns so that the first that fits is the most literal one, judged from the left.
bool more_literal(const Route& a, const Route& b) {
  const std::size_t shared = std::min(a.segments.size(), b.segments.size());
  for (std::size_t i = 0; i < shared; ++i) {
    const bool left = is_param(a.segments[i]);
    const bool right = is_param(b.segments[i]);
    if (left != right) return right;
  }
  return false;
}

bool fits(const Route& route, const std::vector<std::string>& segments) {
  if (route.segments.size() != segments.size()) return false;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (is_param(route.segments[i]) ? segments[i].empty() : route.segments[i] != segments[i]) return false;
  }
  return true;
}

bool same_shape(const Route& a, const Route& b) {
  if (a.method != b.method || a.segments.size() != b.segments.size()) return false;
  for (std::size_t i = 0; i < a.segments.size(); ++i) {
    const bool params = is_param(a.segments[i]) && is_param(b.segments[i]);
    if (!params && a.segments[i] != b.segments[i]) return false;
  }
  return true;
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, Handler handler, Access access, Run run) {
  Route route{std::string(method), std::string(pattern), {}, std::move(handler), access, run};
  auto parsed = parse_target(pattern);
  if (!parsed || !parsed->query.empty() || !route.handler) {
    if (problem_) problem_ = fail(internal_error(fmt::format("malformed route {} {}", method, pattern)));
    return;
  }
  route.segments = std::move(parsed->segments);
  for (const Route& other : routes_) {
    if (same_shape(route, other) && problem_) {
      problem_ =
          fail(internal_error(fmt::format("two routes for {} {} and {}", method, pattern, other.pattern)));
    }
  }
  // After every route that is not less literal: equal ones keep the order of the calls.
  const auto place = std::find_if(routes_.begin(), routes_.end(),
                                  [&](const Route& other) { return more_literal(route, other); });
  routes_.insert(place, std::move(route));
}

Router::Match Router::match(std::string_view method, const std::vector<std::string>& segments,
                            Request& request) const {
  Match match;
  const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
  for (const Route& route : routes_) {
    if (!fits(route, segments)) continue;
    if (route.method != wanted) {
      if (std::find(match.allowed.begin(), match.allowed.end(), route.method) == match.allowed.end()) {
        match.allowed.push_back(route.method);
      }
      continue;
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::string& name = route.segments[i];
      if (is_param(name))
        request.params.emplace_back(std::string_view(name).substr(1, name.size() - 2), segments[i]);
    }
    match.route = &route;
    match.allowed.clear();
    return match;
  }
  return match;
}

}  // namespace poundlock::server
