#include <fmt/format.h>

#include <charconv>

#include "base/strings.h"
#include "rollout/config.h"

namespace poundlock::rollout {

Result<ListenAddress> parse_listen(std::string_view text, std::string_view what) {
  const std::size_t colon = text.rfind(':');
  std::uint16_t port = 0;
  bool ok = colon != std::string_view::npos && colon > 0 && colon + 1 < text.size();
  if (ok) {
    const auto [end, code] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
    ok = code == std::errc{} && end == text.data() + text.size();
  }
  std::string host(ok ? text.substr(0, colon) : "");
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // ::1:8016 could be read in two ways; brackets say which.
  if (!ok || (!bracketed && host.find(':') != std::string::npos) ||
      host.find_first_of(" \t/[]") != std::string::npos) {
    return fail(user_error("config.listen",
                           fmt::format("{}: expected HOST:PORT, found {}", what, quote_for_message(text)))
                    .with_hint("write 127.0.0.1:8016 or [::1]:8016"));
  }
  return ListenAddress{std::move(host), port};
}

std::string to_string(const ListenAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", address.host, v6 ? "]" : "", address.port);
}

}  // namespace poundlock::rollout
