#include "client/sse_parser.h"

namespace poundlock::client {

bool SseParser::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + event_.data.size() + part.size() > event_bytes_max_) return false;
    line_.append(part);
    if (end == std::string_view::npos) return true;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    end_line();
  }
  return true;
}

void SseParser::end_line() {
  if (line_.empty()) return dispatch();
  const std::size_t colon = line_.find(':');
  const std::string_view field = std::string_view(line_).substr(0, colon);
  std::string_view value;
  if (colon != std::string::npos) value = std::string_view(line_).substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event_.name = value;
  } else if (field == "id") {
    event_.id = value;
  } else if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  }  // anything else, and lines that begin with a colon, are comments
  line_.clear();
}

// The standard drops an event without data; a beat is one, and it is what we wait for.
void SseParser::dispatch() {
  if (has_data_ || !event_.name.empty()) {
    if (event_.name.empty()) event_.name = "message";
    handler_(event_);
  }
  event_ = {};
  has_data_ = false;
}

}  // namespace poundlock::client
