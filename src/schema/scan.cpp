#include "schema/scan.h"

#include <pg_query.h>

#include <algorithm>
#include <memory>
#include <string>

#include "schema/text.h"
#include "schema/tree.h"

namespace poundlock::schema {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// libpg_query 15-4.0.0 ends U&"..." behind its U and U&'...' where it begins: a statement that ended with one
// was cut off there, and named another column. From the opening quote to the last one; a string goes on
// behind white space with a line break.
std::size_t unicode_end(std::string_view text, std::size_t begin) {
  constexpr std::size_t kPrefixBytes = 2;  // U&
  if (begin + kPrefixBytes >= text.size()) return text.size();
  const char quote = text[begin + kPrefixBytes];
  std::size_t at = begin + kPrefixBytes + 1;
  for (;;) {
    const std::size_t closing = text.find(quote, at);
    if (closing == std::string_view::npos) return text.size();
    at = closing + 1;
    const std::size_t next = std::min(text.find_first_not_of(" \t\r\n\f", at), text.size());
    const bool breaks = text.substr(at, next - at).find_first_of("\r\n") != std::string_view::npos;
    const bool more = next < text.size() && text[next] == quote;
    if (!more || (next > at && (quote == '"' || !breaks))) return at;
    at = next + 1;
  }
}

struct Read {
  std::optional<Error> error;  // without its place: to find that of each of many takes seconds
  std::size_t error_at = 0;    // the byte in the text
};

// The tokens of `from`, which is the text's from byte `base` on or the beginning of that. None on an error.
Read read(const char* from, std::string_view text, std::size_t base, std::vector<Token>& tokens) {
  PgQueryScanResult raw = pg_query_scan(from);
  const auto freed = [&](PgQueryScanResult* result) { pg_query_free_scan_result(*result); };
  const std::unique_ptr<PgQueryScanResult, decltype(freed)> guard(&raw, freed);
  if (raw.error != nullptr) {
    const auto character = static_cast<std::size_t>(std::max(0, raw.error->cursorpos - 1));
    return {user_error("schema.syntax", raw.error->message),
            base + byte_of_character(text.substr(base), character)};
  }
  const std::unique_ptr<PgQuery__ScanResult, void (*)(PgQuery__ScanResult*)> result(
      pg_query__scan_result__unpack(nullptr, raw.pbuf.len, reinterpret_cast<const uint8_t*>(raw.pbuf.data)),
      [](PgQuery__ScanResult* scanned) { pg_query__scan_result__free_unpacked(scanned, nullptr); });
  if (!result) return {internal_error("the SQL scanner's answer cannot be read"), base};
  tokens.reserve(tokens.size() + result->n_tokens);
  for (std::size_t i = 0; i < result->n_tokens; ++i) {
    const PgQuery__ScanToken& token = *result->tokens[i];
    const bool comment =
        token.token == PG_QUERY__TOKEN__SQL_COMMENT || token.token == PG_QUERY__TOKEN__C_COMMENT;
    const std::size_t begin = base + static_cast<std::size_t>(token.start);
    const bool unicode = token.token == PG_QUERY__TOKEN__UIDENT || token.token == PG_QUERY__TOKEN__USCONST;
    tokens.push_back(
        {.range = {begin, unicode ? unicode_end(text, begin) : base + static_cast<std::size_t>(token.end)},
         .id = static_cast<int>(token.token),
         .keyword = static_cast<KeywordClass>(token.keyword_kind),
         .comment = comment});
  }
  return {};
}

bool in_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
         (c & 0x80) != 0;
}

// Behind a number that goes on in letters, or a string with a wrong escape in it; npos where nothing ends it.
std::size_t bad_word_end(std::string_view text, std::size_t at) {
  std::size_t end = std::min(at + 1, text.size());  // the $ of $1a, or a letter before the quote
  while (end < text.size() && in_word(text[end])) ++end;
  if (at < text.size() && (text[at] == '\'' || text[at] == '"')) end = at;
  if (end + 1 < text.size() && text[end] == '&' && (text[end + 1] == '\'' || text[end + 1] == '"')) ++end;
  if (end >= text.size() || (text[end] != '\'' && text[end] != '"')) return end;
  const bool escapes = text[at] == 'e' || text[at] == 'E';
  const char quote = text[end];
  for (std::size_t i = end + 1; i < text.size(); ++i) {
    if (escapes && text[i] == '\\')
      ++i;
    else if (text[i] == quote && i + 1 < text.size() && text[i + 1] == quote)
      ++i;
    else if (text[i] == quote)
      return i + 1;
  }
  return std::string_view::npos;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

Status check_text(std::string_view text) {
  if (text.find('\0') != std::string_view::npos)
    return fail(user_error("schema.bad_text", "the SQL holds a NUL byte"));
  if (!is_utf8(text)) return fail(user_error("schema.bad_text", "the SQL is no valid UTF-8"));
  return {};
}

namespace {

Error placed(Error error, std::string_view text, std::size_t at) {
  const LineColumn place = line_column(text, at);
  return std::move(error).at({"", place.line, place.column});
}

}  // namespace

Result<Scanned> scan_all(std::string_view text) {
  PL_CHECK(check_text(text));
  const std::string terminated(text);
  Scanned scanned;
  std::size_t base = 0;
  for (std::size_t bad = 0;; ++bad) {
    const Read all = read(terminated.c_str() + base, text, base, scanned.tokens);
    if (!all.error) return scanned;
    std::size_t at = std::clamp(all.error_at, base, text.size());
    // Where the fault lies within a string, what stands before it is an open string.
    constexpr int kTries = 3;
    for (int tries = 0; tries < kTries; ++tries) {
      const std::string before(text.substr(base, at - base));
      const Read read_before = read(before.c_str(), text, base, scanned.tokens);
      if (!read_before.error) break;
      at = std::clamp(read_before.error_at, base, at);
    }
    const std::size_t end = bad_word_end(text, at);
    if (all.error->message.starts_with("unterminated") || end > text.size() || bad == kBadWordsMax) {
      scanned.open = placed(*all.error, text, all.error_at);
      return scanned;
    }
    scanned.tokens.push_back({.range = {at, end}});
    base = end;
  }
}

Result<std::vector<Token>> scan(std::string_view text) {
  PL_CHECK(check_text(text));
  const std::string terminated(text);
  std::vector<Token> tokens;
  Read all = read(terminated.c_str(), text, 0, tokens);
  if (all.error) return fail(placed(std::move(*all.error), text, all.error_at));
  return tokens;
}

std::optional<ByteRange> find_words(std::string_view text, std::span<const Token> tokens,
                                    std::initializer_list<std::string_view> words, std::size_t from) {
  for (std::size_t start = 0; start + words.size() <= tokens.size(); ++start) {
    if (tokens[start].range.begin < from) continue;
    std::size_t matched = 0;
    for (const std::string_view word : words) {
      const ByteRange range = tokens[start + matched].range;
      if (!equals_ignoring_case(text.substr(range.begin, range.size()), word)) break;
      ++matched;
    }
    if (matched == words.size() && matched > 0)
      return ByteRange{tokens[start].range.begin, tokens[start + matched - 1].range.end};
  }
  return std::nullopt;
}

}  // namespace poundlock::schema
