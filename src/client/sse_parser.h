// Server-sent events (WHATWG HTML, section 9.2) cut out of a byte stream as it arrives, with a bound on
// what an unfinished event may hold. Not thread-safe.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace poundlock::client {

struct SseEvent {
  std::string name;  // "message" where the stream names none
  std::string id;
  std::string data;  // lines joined by \n
};

class SseParser {
 public:
  using Handler = std::function<void(const SseEvent&)>;
  SseParser(std::size_t event_bytes_max, Handler handler)
      : event_bytes_max_(event_bytes_max), handler_(std::move(handler)) {}

  // False once an event is larger than allowed: the connection is of no more use.
  bool feed(std::string_view bytes);

 private:
  void end_line();
  void dispatch();

  std::size_t event_bytes_max_;
  Handler handler_;
  std::string line_;
  SseEvent event_;
  bool has_data_ = false;
  bool after_cr_ = false;
};

}  // namespace poundlock::client
