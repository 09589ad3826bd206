#include "server/http/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace poundlock::server {
namespace {

bool is_clean(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

bool names(const Headers& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(), [&](const auto& h) { return same_name(h.first, name); });
}

void header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kStandard{{
    {"X-Content-Type-Options", "nosniff"},
    {"Content-Security-Policy", "default-src 'none'"},
    {"Cache-Control", "no-store"},
}};

void number(std::string& out, std::size_t value) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

}  // namespace

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
  }
}

void render_response(std::string& out, const Response& response, Framing framing, bool head_only,
                     std::string_view date) {
  const bool bodiless = response.status == 204 || response.status == 304;
  out.reserve(out.size() + 512 + response.body.size());
  out.append("HTTP/1.1 ");
  number(out, static_cast<std::size_t>(response.status));
  out.append(" ").append(reason_phrase(response.status)).append("\r\n");
  header(out, "Date", date);
  for (const auto& [name, value] : kStandard) {
    if (!names(response.headers, name)) header(out, name, value);
  }
  for (const auto& [name, value] : response.headers) {
    if (is_clean(name) && is_clean(value)) header(out, name, value);
  }
  if (framing == Framing::kStream) {
    header(out, "Content-Type", "text/event-stream");
    header(out, "X-Accel-Buffering", "no");  // nginx would hold events back
  } else if (!bodiless) {
    if (is_clean(response.content_type)) header(out, "Content-Type", response.content_type);
    out.append("Content-Length: ");
    number(out, response.body.size());
    out.append("\r\n");
  }
  if (framing == Framing::kClose || framing == Framing::kStream) header(out, "Connection", "close");
  if (framing == Framing::kKeepAliveOld) header(out, "Connection", "keep-alive");
  out += "\r\n";
  if (!bodiless && !head_only && framing != Framing::kStream) out += response.body;
}

// By calendar arithmetic: strftime would follow the process' locale.
std::string http_date(std::int64_t unix_seconds) {
  using namespace std::chrono;
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const sys_seconds at{seconds{unix_seconds}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[weekday{day}.c_encoding()],
                     static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), time.hours().count(), time.minutes().count(),
                     time.seconds().count());
}

}  // namespace poundlock::server
