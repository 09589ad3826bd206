#include <zlib.h>

#include <algorithm>

#include "server/otlp/metrics.h"

namespace poundlock::server::otlp {

Result<std::string> inflate(std::string_view body, std::size_t bytes_max) {
  z_stream stream{};
  constexpr int kGzip = 16 + MAX_WBITS;  // zlib.h: 16 asks for gzip's header
  if (inflateInit2(&stream, kGzip) != Z_OK) return fail(internal_error("zlib does not start"));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  std::string out;
  int code = Z_OK;
  while (code == Z_OK && out.size() <= bytes_max) {
    const std::size_t before = out.size();
    out.resize(before + std::min<std::size_t>(64 << 10, bytes_max + 1 - before));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = static_cast<uInt>(out.size() - before);
    code = ::inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (code == Z_BUF_ERROR) break;  // the body ends too early
  }
  inflateEnd(&stream);
  // A few kilobytes may unfold to gigabytes.
  if (out.size() > bytes_max)
    return fail(user_error("otlp.size", "the body unfolds to more than is allowed"));
  if (code != Z_STREAM_END) return fail(user_error("otlp.body", "the body is no gzip"));
  return out;
}

}  // namespace poundlock::server::otlp
