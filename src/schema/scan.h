// SQL as tokens: what the tree does not say, namely where the words of a statement stand. Positions are
// bytes. Thread-safe; the scanner does not recurse, so that it runs on the caller's stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poundlock::schema {

struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t size() const { return end - begin; }
  bool operator==(const ByteRange&) const = default;
};

enum class KeywordClass : std::uint8_t { kNone, kUnreserved, kColumnName, kTypeOrFunction, kReserved };

struct Token {
  ByteRange range;
  int id = 0;  // PgQuery__Token
  KeywordClass keyword = KeywordClass::kNone;
  bool comment = false;
};

// Errors: "schema.syntax" (an open string or comment), "schema.bad_text" (NUL, no UTF-8).
Result<std::vector<Token>> scan(std::string_view text);

// As much of it as can be read: a word that is none (1a, or PostgreSQL 16's 1_000) is a token of id 0. A
// string, name or comment that nothing ends is the error, and so is one word more than kBadWordsMax of them:
// the tokens end before it. Fails with "schema.bad_text".
inline constexpr std::size_t kBadWordsMax = 1'000;
struct Scanned {
  std::vector<Token> tokens;
  std::optional<Error> open;  // "schema.syntax", with its place
};
Result<Scanned> scan_all(std::string_view text);

// No NUL and valid UTF-8: what C strings and PostgreSQL's character positions need.
Status check_text(std::string_view text);

// The first run of tokens that reads as `words` (any case; punctuation is a word), at or after byte `from`.
std::optional<ByteRange> find_words(std::string_view text, std::span<const Token> tokens,
                                    std::initializer_list<std::string_view> words, std::size_t from = 0);

bool equals_ignoring_case(std::string_view a, std::string_view b);  // ASCII letters only

}  // namespace poundlock::schema
