// A request and its answer as handlers see them. Plain values; no transport type shows here.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace poundlock::server {

class SseHub;

using Headers = std::vector<std::pair<std::string, std::string>>;

// In one piece of memory, which is used again for the next request.
class RequestHeaders {
 public:
  void add(std::string_view name, std::string_view value);        // the name is kept in lower case
  std::string_view find(std::string_view lower_case_name) const;  // the first; "" where absent
  std::size_t size() const { return places_.size(); }
  std::pair<std::string_view, std::string_view> operator[](std::size_t i) const;
  void clear();

 private:
  struct Place {
    std::uint32_t name, name_size, value, value_size;
  };
  std::string text_;
  std::vector<Place> places_;
};

struct Request {
  std::string method;                        // "GET"
  std::string target;                        // as sent: "/v1/rollouts/a%20b?wait=1"
  std::map<std::string, std::string> query;  // decoded; the last of equal keys counts
  std::vector<std::pair<std::string_view, std::string>>
      params;  // decoded path parameters; names are the route's
  RequestHeaders headers;
  std::string body;
  std::string peer;    // "127.0.0.1:54321"
  bool admin = false;  // bore the admin token

  std::string_view header(std::string_view lower_case_name) const;  // "" where absent
  std::string_view param(std::string_view name) const;              // "" where absent
  std::string_view query_value(std::string_view name) const;        // "" where absent
  void clear();                                                     // keeps its memory
};

// Who listens on a stream. From the query string: ?service=orders&instance=host-1&build=42.
struct SubscriberInfo {
  std::uint64_t id = 0;  // unique in this process
  std::string service;
  std::string instance;
  std::string build;
  std::string peer;
  std::string last_event_id;  // what the reader says that it has already
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers;  // a name given here replaces the standard header of that name
  std::string body;

  // Set by stream_response(): the connection becomes a server-sent event stream of this hub.
  std::shared_ptr<SseHub> stream;
  SubscriberInfo subscriber;
};

Response json_response(const boost::json::value& value, int status = 200);
Response text_response(std::string text, int status = 200);
// {"error": {"code", "message", "hint", "disposition"}}: kUser 400, kRefused and kConflict 409, what
// cannot be reached (kRetry, kReconnect, kInDoubt) 503 with Retry-After, kInternal 500.
Response error_response(const Error& error);
Response error_response(int status, std::string_view code, std::string_view message,
                        std::string_view hint = {});
int http_status(const Error& error);

// Subscribes the connection to the hub. Refused with 400 where service, instance or build is longer
// than 128 bytes or holds a control character. Last-Event-ID is taken from the header, else from the
// query's lastEventId.
Response stream_response(std::shared_ptr<SseHub> hub, const Request& request);

// `if_none_match` is that header: a list of entity tags, weak ones among them, or *. By weak comparison
// (RFC 9110, section 13.1.2); a tag without quotes, as some clients send it, counts as if it had them.
bool matches_etag(std::string_view if_none_match, std::string_view etag);

// "/a%20b?x=1&y" -> segments {"a b"} and the query. nullopt: malformed escapes, or control characters
// once decoded. An absolute-form target ("http://host/a") counts as its path; one trailing slash is
// ignored.
struct Target {
  std::vector<std::string> segments;
  std::map<std::string, std::string> query;
};
std::optional<Target> parse_target(std::string_view target);

}  // namespace poundlock::server
