#include "server/http/request_parser.h"

#include <algorithm>
#include <array>

namespace poundlock::server {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::size_t kChunkLineMax = 256;
constexpr std::size_t kTrailerBytesMax = 8 << 10;
constexpr char kMalformed[] = "http.malformed";

// tchar and field-vchar of RFC 9110, sections 5.6.2 and 5.5.
enum : unsigned char { kToken = 1, kFieldValue = 2, kTargetByte = 4 };
constexpr std::array<unsigned char, 256> make_classes() {
  std::array<unsigned char, 256> out{};
  for (int c = 0x21; c < 0x7f; ++c) out[c] = kFieldValue | kTargetByte;
  for (int c = 0x80; c < 0x100; ++c) out[c] = kFieldValue | kTargetByte;
  out[' '] = out['\t'] = kFieldValue;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) out[static_cast<unsigned char>(c)] |= kToken;
  for (int c = '0'; c <= '9'; ++c) out[c] |= kToken;
  for (int c = 'a'; c <= 'z'; ++c) out[c] |= kToken;
  for (int c = 'A'; c <= 'Z'; ++c) out[c] |= kToken;
  return out;
}
constexpr std::array<unsigned char, 256> kClasses = make_classes();

bool is_all(std::string_view text, unsigned char wanted) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0; });
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool same(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::size_t RequestParser::refuse(int status, const char* code, const char* message) {
  fault_ = RequestFault{status, code, message};
  return 0;
}

bool RequestParser::reject(int status, const char* code, const char* message) {
  refuse(status, code, message);
  return false;
}

std::size_t RequestParser::put(std::string_view bytes, const RequestLimits& limits, Request& request) {
  std::size_t taken = 0;
  while (!fault_ && state_ != State::kDone && taken < bytes.size()) {
    const auto rest = bytes.substr(taken);
    const State before = state_;
    std::size_t now = 0;
    switch (state_) {
      case State::kHead: now = put_head(rest, limits, request); break;
      case State::kBody:
      case State::kChunk: now = put_body(rest, request); break;
      case State::kChunkSize: now = put_chunk_line(rest, limits, request); break;
      case State::kChunkEnd: now = put_chunk_end(rest); break;
      case State::kTrailer: now = put_trailer(rest); break;
      case State::kDone: break;
    }
    taken += now;
    // The head is given to its reader before its body is taken.
    if (now == 0 || before == State::kHead) break;
  }
  return taken;
}

std::size_t RequestParser::put_head(std::string_view bytes, const RequestLimits& limits, Request& request) {
  // What does not begin like a request will not become one: TLS, for example.
  if (!is_all(bytes.substr(0, 1), kToken)) return refuse(400, kMalformed, "this is no HTTP request");
  const auto end = bytes.find(kHeadEnd, searched_ - std::min(searched_, kHeadEnd.size() - 1));
  const std::size_t size = end == std::string_view::npos ? bytes.size() : end + kHeadEnd.size();
  if (size > limits.header_bytes_max)
    return refuse(431, "http.header_limit", "the request's header is too large");
  searched_ = size;
  if (end == std::string_view::npos) return 0;
  std::string_view head = bytes.substr(0, end + 2);  // each line with its end
  for (bool first = true; !head.empty(); first = false) {
    const auto line_end = head.find("\r\n");
    const auto line = head.substr(0, line_end);
    if (!(first ? read_request_line(line, request) : read_field(line, request))) return 0;
    head.remove_prefix(line_end + 2);
  }
  if (!read_framing(request) || !read_connection(request)) return 0;
  if (length_ > limits.body_bytes_max)
    return refuse(413, "http.body_limit", "the request's body is too large");
  return size;
}

bool RequestParser::read_request_line(std::string_view line, Request& request) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return reject(400, kMalformed, "the request line is not METHOD TARGET VERSION");
  const auto method = line.substr(0, first);
  const auto target = line.substr(first + 1, last - first - 1);
  const auto version = line.substr(last + 1);
  if (!is_all(method, kToken) || target.empty() || !is_all(target, kTargetByte))
    return reject(400, kMalformed, "the request line is malformed");
  const bool is_http = version.size() == 8 && version.starts_with("HTTP/") && version[6] == '.' &&
                       version[5] >= '0' && version[5] <= '9' && version[7] >= '0' && version[7] <= '9';
  if (!is_http) return reject(400, kMalformed, "the request line names no HTTP version");
  if (version[5] != '1' || version[7] > '1')
    return reject(505, "http.version", "this server speaks HTTP/1.1 and HTTP/1.0");
  old_ = version[7] == '0';
  keeps_alive_ = !old_;
  request.method.assign(method);
  request.target.assign(target);
  return true;
}

// A line that begins with a blank (a folded one) has no name, and is refused with it.
bool RequestParser::read_field(std::string_view line, Request& request) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0 || !is_all(line.substr(0, colon), kToken))
    return reject(400, kMalformed, "a header has no name, or blanks around it");
  const auto value = trimmed(line.substr(colon + 1));
  if (!is_all(value, kFieldValue)) return reject(400, kMalformed, "a header holds a control character");
  request.headers.add(line.substr(0, colon), value);
  return true;
}

bool RequestParser::read_length(std::string_view text) {
  const bool digits =
      !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return reject(400, kMalformed, "Content-Length is no whole number");
  for (const char c : text) {
    // Beyond any limit it stays there.
    length_ = length_ > UINT64_MAX / 20 ? UINT64_MAX / 2 : length_ * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return true;
}

bool RequestParser::read_framing(const Request& request) {
  std::size_t lengths = 0, encodings = 0, hosts = 0;
  std::string_view length, encoding;
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    const auto [name, value] = request.headers[i];
    if (name == "content-length") {
      ++lengths;
      length = value;
    } else if (name == "transfer-encoding") {
      ++encodings;
      encoding = value;
    } else if (name == "host") {
      ++hosts;
    }
  }
  if (lengths > 1 || (lengths > 0 && encodings > 0))
    return reject(400, kMalformed, "a request has one length, or one transfer encoding");
  if (encodings > 0 && (encodings > 1 || old_ || !same(encoding, "chunked")))
    return reject(501, "http.transfer_encoding", "the only transfer encoding here is chunked");
  if (hosts > 1 || (hosts == 0 && !old_))
    return reject(400, "http.host_missing", "a request has exactly one Host header");
  if (lengths > 0 && !read_length(length)) return false;
  left_ = length_;
  state_ = encodings > 0 ? State::kChunkSize : left_ > 0 ? State::kBody : State::kDone;
  return true;
}

bool RequestParser::read_connection(const Request& request) {
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    const auto [name, value] = request.headers[i];
    if (name == "expect") awaits_continue_ = !old_ && same(value, "100-continue");
    if (name != "connection") continue;
    for (std::string_view list = value; !list.empty();) {
      const auto comma = std::min(list.find(','), list.size());
      const auto option = trimmed(list.substr(0, comma));
      if (same(option, "close")) keeps_alive_ = false;
      if (old_ && same(option, "keep-alive")) keeps_alive_ = true;
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  return true;
}

std::size_t RequestParser::put_body(std::string_view bytes, Request& request) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
  request.body.append(bytes.substr(0, size));
  left_ -= size;
  if (left_ == 0) state_ = state_ == State::kBody ? State::kDone : State::kChunkEnd;
  return size;
}

std::size_t RequestParser::put_chunk_line(std::string_view bytes, const RequestLimits& limits,
                                          const Request& request) {
  const auto end = bytes.find("\r\n");
  if (std::min(end, bytes.size()) > kChunkLineMax)
    return refuse(400, kMalformed, "a chunk's size takes too many bytes");
  if (end == std::string_view::npos) return 0;
  const auto line = bytes.substr(0, end);
  const auto digits = trimmed(line.substr(0, line.find(';')));  // extensions mean nothing to us
  if (digits.empty() || digits.size() > 15 || digits.front() != line.front() || !is_all(line, kFieldValue))
    return refuse(400, kMalformed, "a chunk's size is malformed");
  left_ = 0;
  for (const char c : digits) {
    const int value = hex_value(c);
    if (value < 0) return refuse(400, kMalformed, "a chunk's size is malformed");
    left_ = left_ * 16 + static_cast<std::uint64_t>(value);
  }
  if (left_ > limits.body_bytes_max - std::min(limits.body_bytes_max, request.body.size()))
    return refuse(413, "http.body_limit", "the request's body is too large");
  state_ = left_ == 0 ? State::kTrailer : State::kChunk;
  searched_ = 0;
  return end + 2;
}

std::size_t RequestParser::put_chunk_end(std::string_view bytes) {
  if (bytes.size() < 2) return bytes == "\r" ? 0 : refuse(400, kMalformed, "a chunk is longer than it says");
  if (!bytes.starts_with("\r\n")) return refuse(400, kMalformed, "a chunk is longer than it says");
  state_ = State::kChunkSize;
  return 2;
}

// Read and forgotten: nothing here waits for one.
std::size_t RequestParser::put_trailer(std::string_view bytes) {
  const auto end = bytes.find("\r\n");
  if (searched_ + std::min(end, bytes.size()) > kTrailerBytesMax)
    return refuse(431, "http.header_limit", "the request's trailer is too large");
  if (end == std::string_view::npos) return 0;
  if (end == 0) {
    state_ = State::kDone;
    return 2;
  }
  const auto line = bytes.substr(0, end);
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0 || !is_all(line.substr(0, colon), kToken) ||
      !is_all(line.substr(colon), kFieldValue))
    return refuse(400, kMalformed, "the trailer is malformed");
  searched_ += end + 2;
  return end + 2;
}

}  // namespace poundlock::server
