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

Result<std::vector<Token>> scan(std::string_view text) {
  PL_CHECK(check_text(text));
  const std::string terminated(text);
  PgQueryScanResult raw = pg_query_scan(terminated.c_str());
  const auto freed = [&](PgQueryScanResult* result) { pg_query_free_scan_result(*result); };
  const std::unique_ptr<PgQueryScanResult, decltype(freed)> guard(&raw, freed);
  if (raw.error != nullptr) {
    Error error = user_error("schema.syntax", raw.error->message);
    const auto character = static_cast<std::size_t>(std::max(0, raw.error->cursorpos - 1));
    const LineColumn at = line_column(text, byte_of_character(text, character));
    return fail(std::move(error).at({"", at.line, at.column}));
  }
  const std::unique_ptr<PgQuery__ScanResult, void (*)(PgQuery__ScanResult*)> result(
      pg_query__scan_result__unpack(nullptr, raw.pbuf.len, reinterpret_cast<const uint8_t*>(raw.pbuf.data)),
      [](PgQuery__ScanResult* scanned) { pg_query__scan_result__free_unpacked(scanned, nullptr); });
  if (!result) return fail(internal_error("the SQL scanner's answer cannot be read"));
  std::vector<Token> tokens;
  tokens.reserve(result->n_tokens);
  for (std::size_t i = 0; i < result->n_tokens; ++i) {
    const PgQuery__ScanToken& token = *result->tokens[i];
    const bool comment =
        token.token == PG_QUERY__TOKEN__SQL_COMMENT || token.token == PG_QUERY__TOKEN__C_COMMENT;
    const auto begin = static_cast<std::size_t>(token.start);
    const bool unicode = token.token == PG_QUERY__TOKEN__UIDENT || token.token == PG_QUERY__TOKEN__USCONST;
    tokens.push_back(
        {.range = {begin, unicode ? unicode_end(text, begin) : static_cast<std::size_t>(token.end)},
         .id = static_cast<int>(token.token),
         .keyword = static_cast<KeywordClass>(token.keyword_kind),
         .comment = comment});
  }
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
