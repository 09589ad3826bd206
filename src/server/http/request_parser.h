// Requests out of bytes (RFC 9112), one after the other, wherever the reads cut them. Strict where two
// readers of the same bytes could disagree on where a request ends: a proxy before us must not be led to see
// another request than we do. Pure: no socket, no clock. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "server/http/message.h"

namespace poundlock::server {

// Why a request is refused; the connection cannot go on after it.
struct RequestFault {
  int status = 400;
  const char* code = "";  // "http.malformed"
  const char* message = "";
};

struct RequestLimits {
  std::size_t header_bytes_max = 16 << 10;  // request line included
  std::size_t body_bytes_max = 4 << 20;
};

class RequestParser {
 public:
  // Takes what belongs to the request from the front of `bytes`, and answers how many bytes that was; what
  // is left is to be given again, with more behind it. The head is taken at once when all of it is there.
  // After a fault nothing more is taken.
  std::size_t put(std::string_view bytes, const RequestLimits& limits, Request& request);
  void reset() { *this = {}; }

  bool has_head() const { return state_ > State::kHead; }
  bool is_done() const { return state_ == State::kDone; }
  const std::optional<RequestFault>& fault() const { return fault_; }

  // Once the head is there.
  bool is_old() const { return old_; }  // HTTP/1.0
  bool keeps_alive() const { return keeps_alive_; }
  bool awaits_continue() const { return awaits_continue_; }
  std::uint64_t content_length() const { return length_; }  // 0 where it is not told

 private:
  enum class State : std::uint8_t { kHead, kBody, kChunkSize, kChunk, kChunkEnd, kTrailer, kDone };
  std::size_t refuse(int status, const char* code, const char* message);  // 0: nothing is taken
  bool reject(int status, const char* code, const char* message);         // false
  std::size_t put_head(std::string_view bytes, const RequestLimits& limits, Request& request);
  bool read_request_line(std::string_view line, Request& request);
  bool read_field(std::string_view line, Request& request);
  bool read_framing(const Request& request);
  bool read_connection(const Request& request);
  bool read_length(std::string_view text);
  std::size_t put_body(std::string_view bytes, Request& request);
  std::size_t put_chunk_line(std::string_view bytes, const RequestLimits& limits, const Request& request);
  std::size_t put_chunk_end(std::string_view bytes);
  std::size_t put_trailer(std::string_view bytes);

  State state_ = State::kHead;
  bool old_ = false;
  bool keeps_alive_ = true;
  bool awaits_continue_ = false;
  std::size_t searched_ = 0;  // of the head, for its end; of the trailer, taken
  std::uint64_t length_ = 0;
  std::uint64_t left_ = 0;  // of the body or the chunk
  std::optional<RequestFault> fault_;
};

}  // namespace poundlock::server
