// The bytes of an answer (RFC 9112).
#pragma once

#include <string>
#include <string_view>

#include "server/http/message.h"

namespace poundlock::server {

enum class Framing {
  kKeepAlive,
  kKeepAliveOld,  // an HTTP/1.0 reader that asked for it
  kClose,
  kStream,  // no length: the body ends with the connection
};

// Appends status line, headers and (unless `head_only`) the body. Every answer tells browsers not to
// guess its type, to load nothing from it and to keep no copy, unless the handler said otherwise.
// A header that holds a line break or another control character is left out: it could forge an answer.
void render_response(std::string& out, const Response& response, Framing framing, bool head_only,
                     std::string_view date);
std::string_view reason_phrase(int status);
std::string http_date(std::int64_t unix_seconds);  // "Sun, 06 Nov 1994 08:49:37 GMT"

}  // namespace poundlock::server
