// SQL text as statements with their syntax trees, by PostgreSQL 15's own grammar (libpg_query). Newer
// syntax is an error here; the shadow server's parser decides such a case.
// Offsets are bytes; lines and columns count from 1, columns in characters. A parsed script is immutable
// and may be read by any number of threads; parsing is thread-safe and runs on a thread with a large stack.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/scan.h"
#include "schema/statement_kind.h"
#include "schema/text.h"

struct PgQuery__Node;
struct PgQuery__ParseResult;

namespace poundlock::schema {

inline constexpr std::size_t kStatementBytesMax = 100 * 1024;  // deeper nesting would overflow the stack
inline constexpr std::size_t kScriptBytesMax = 4 * 1024 * 1024;
inline constexpr std::size_t kStatementsMax = 10'000;
inline constexpr int kTreeDepthMax = 2'000;  // levels of the tree; walks then fit a usual stack

class Statement {
 public:
  const std::string& text() const { return text_; }  // without comments around it and without the semicolon
  std::size_t offset() const { return offset_; }     // where text() begins in the script
  StatementKind kind() const { return kind_; }
  const PgQuery__Node* node() const { return node_; }           // never null; schema/tree.h reads it
  const std::vector<Token>& tokens() const { return tokens_; }  // without comments; ranges in text()
  LineColumn position(std::size_t offset_in_text = 0) const;    // in the script
  std::string_view slice(ByteRange range) const;                // clamped to text()

  // The words' place in text(), at or after byte `from`: {"SET", "NOT", "NULL"}; else the whole statement.
  ByteRange words(std::initializer_list<std::string_view> wanted, std::size_t from = 0) const;
  // From the name (schema.table, "Quoted") that begins at byte `begin` to its end.
  ByteRange name_at(std::size_t begin) const;
  // ALTER TABLE only: the place of each of its actions, as many as the tree has.
  std::vector<ByteRange> actions() const;

 private:
  friend class ScriptParser;
  std::string text_;
  std::size_t offset_ = 0;
  LineColumn start_;
  StatementKind kind_ = StatementKind::kOther;
  std::vector<Token> tokens_;
  std::shared_ptr<const PgQuery__ParseResult> tree_;
  const PgQuery__Node* node_ = nullptr;
};

struct Comment {
  ByteRange range;  // in the script, with -- or /* */
  int line = 1;
};

struct Script {
  std::string text;
  std::vector<Statement> statements;  // those that parse, in order
  std::vector<Comment> comments;
  std::vector<Error> errors;      // one for each statement that does not parse: code "schema.syntax",
                                  // `where` without a file, the hint tells what the parser stood at
  std::vector<ByteRange> failed;  // where the statement of each error stands; as many, in order
};

// Statements that parse are kept where others do not. Fails as a whole with "schema.too_large" or
// "schema.bad_text" (kUser), or when no parser thread can be had.
Result<Script> parse_script(std::string_view text);

// Exactly one statement, or "schema.syntax", "schema.one_statement", "schema.too_large", "schema.too_deep".
Result<Statement> parse_statement(std::string_view text);

// libpg_query's fingerprint (16 hexadecimal digits): equal for statements that differ only in constants,
// parameters, white space and the length of IN lists.
Result<std::string> statement_fingerprint(std::string_view text);

// The text with constants replaced by $1, $2, ... as pg_stat_statements does.
Result<std::string> normalise_statement(std::string_view text);

}  // namespace poundlock::schema
