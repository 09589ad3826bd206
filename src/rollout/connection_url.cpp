#include "rollout/connection_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace poundlock::rollout {
namespace {

struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
};

constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
constexpr bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_secret(std::string_view key) {
  return key == "password" || key == "sslpassword";
}

// Where the part behind "postgres://" begins; 0 where the text is no URL.
std::size_t authority_begin(std::string_view url) {
  for (const std::string_view scheme : {"postgres://", "postgresql://"}) {
    if (url.starts_with(scheme)) return scheme.size();
  }
  return 0;
}

// user:password, without the @; empty where there is none.
Range user_info(std::string_view url) {
  const std::size_t begin = authority_begin(url);
  if (begin == 0) return {};
  const std::size_t end = std::min(url.find_first_of("/?#", begin), url.size());
  const std::size_t at = url.substr(0, end).rfind('@');
  if (at == std::string_view::npos || at < begin) return {};
  return {begin, at};
}

std::vector<Range> passwords_of_url(std::string_view url) {
  std::vector<Range> found;
  const Range user = user_info(url);
  const std::size_t colon = url.substr(0, user.end).find(':', user.begin);
  if (user.end > user.begin && colon != std::string_view::npos) found.push_back({colon + 1, user.end});
  std::size_t at = url.find('?');
  while (at != std::string_view::npos && at < url.size()) {
    const std::size_t begin = at + 1;
    const std::size_t end = std::min(url.find('&', begin), url.size());
    const std::size_t equals = std::min(url.find('=', begin), end);
    if (is_secret(url.substr(begin, equals - begin)) && equals < end) found.push_back({equals + 1, end});
    at = end;
  }
  return found;
}

// key = value, where a value with blanks stands in single quotes and \ escapes.
std::vector<Range> passwords_of_pairs(std::string_view text) {
  std::vector<Range> found;
  std::size_t at = 0;
  const auto skip_space = [&] {
    while (at < text.size() && is_space(text[at])) ++at;
  };
  while (at < text.size()) {
    skip_space();
    const std::size_t key_begin = at;
    while (at < text.size() && text[at] != '=' && !is_space(text[at])) ++at;
    const std::string_view key = text.substr(key_begin, at - key_begin);
    skip_space();
    if (at >= text.size() || text[at] != '=') continue;
    ++at;
    skip_space();
    const bool quoted = at < text.size() && text[at] == '\'';
    if (quoted) ++at;
    const std::size_t begin = at;
    while (at < text.size() && (quoted ? text[at] != '\'' : !is_space(text[at]))) {
      at += text[at] == '\\' && at + 1 < text.size() ? 2 : 1;
    }
    if (is_secret(key)) found.push_back({begin, at});
    if (quoted && at < text.size()) ++at;
  }
  return found;
}

std::vector<Range> passwords(std::string_view url) {
  return authority_begin(url) > 0 ? passwords_of_url(url) : passwords_of_pairs(url);
}

// The whole of ${NAME} that begins here, or an empty range: an unclosed or odd one is told by expand_url.
Range variable_at(std::string_view text, std::size_t at) {
  if (text.substr(at, 2) != "${") return {};
  std::size_t end = at + 2;
  if (end >= text.size() || !is_name_start(text[end])) return {};
  while (end < text.size() && (is_name_start(text[end]) || is_digit(text[end]))) ++end;
  return end < text.size() && text[end] == '}' ? Range{at, end + 1} : Range{};
}

bool is_variable(std::string_view text) {
  const Range range = variable_at(text, 0);
  return range.end > 0 && range.end == text.size();
}

std::string percent_encoded(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool plain = is_digit(c) || (is_name_start(c)) || c == '-' || c == '.' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Error no_url() {
  return user_error("config.url", "url: expected a connection string")
      .with_hint("write postgres://USER@HOST:5432/DATABASE");
}

bool is_connection(std::string_view url) {
  return authority_begin(url) > 0 || (url.find('=') != std::string_view::npos && !url.starts_with('='));
}

}  // namespace

Status check_url(std::string_view url) {
  if (is_variable(url)) return {};
  if (!is_connection(url)) return fail(no_url());
  for (const Range& range : passwords(url)) {
    const std::string_view password = url.substr(range.begin, range.end - range.begin);
    if (password.empty() || is_variable(password)) continue;
    // Never the password itself in the message: it goes to logs and terminals.
    return fail(
        user_error("config.password", "url: a password stands in the file")
            .with_hint("write ${NAME} in its place and set that environment variable, or use password_file"));
  }
  return {};
}

bool has_password(std::string_view url) {
  const auto found = passwords(url);
  return std::any_of(found.begin(), found.end(), [](const Range& range) { return range.end > range.begin; });
}

Result<std::string> expand_url(std::string_view url, const Lookup& lookup) {
  const bool pairs = authority_begin(url) == 0 && !is_variable(url);
  const Range user = user_info(url);
  std::string out;
  for (std::size_t at = 0; at < url.size();) {
    if (url.substr(at, 2) != "${") {
      out += url[at++];
      continue;
    }
    const Range range = variable_at(url, at);
    if (range.end == 0) {
      return fail(user_error("config.url", "url: expected ${NAME}, found another use of ${")
                      .with_hint("a name has letters, digits and _"));
    }
    const std::string_view name = url.substr(at + 2, range.end - at - 3);
    const auto value = lookup(name);
    if (!value || value->empty()) {
      return fail(user_error("config.variable", fmt::format("the environment variable {} is not set", name))
                      .with_hint(fmt::format("export {}=..., or use password_file", name)));
    }
    // Quoting rules inside quoted and unquoted values differ; a value that needs them is refused.
    if (pairs && value->find_first_of(" \t\r\n'\\") != std::string::npos) {
      return fail(user_error("config.variable",
                             fmt::format("the value of {} holds a blank, a quote or a backslash", name))
                      .with_hint("use a postgres:// URL, or password_file"));
    }
    out += at >= user.begin && at < user.end ? percent_encoded(*value) : *value;
    at = range.end;
  }
  if (!is_connection(out)) return fail(no_url());
  return out;
}

std::string without_password(std::string_view url) {
  std::string out;
  std::size_t copied = 0;
  for (const Range& range : passwords(url)) {
    out += url.substr(copied, range.begin - copied);
    out += "***";
    copied = range.end;
  }
  out += url.substr(copied);
  return out;
}

}  // namespace poundlock::rollout
