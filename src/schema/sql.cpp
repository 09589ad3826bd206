#include "schema/sql.h"

#include <fmt/format.h>
#include <pg_query.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "schema/large_stack.h"
#include "schema/tree.h"

namespace poundlock::schema {
namespace {

Error too_large(std::string_view what, std::size_t bytes, std::size_t bytes_max) {
  std::string message = fmt::format("{} has {} bytes; the limit is {}", what, bytes, bytes_max);
  return user_error("schema.too_large", std::move(message)).with_hint("split it");
}

Status check_statement(std::string_view text) {
  if (text.size() > kStatementBytesMax)
    return fail(too_large("the statement", text.size(), kStatementBytesMax));
  return check_text(text);
}

// The parser's error with its place in the script, which begins at `start`.
Error syntax_error(const PgQueryError& raw, std::string_view text, LineColumn start) {
  Error error = user_error("schema.syntax", raw.message);
  if (raw.cursorpos <= 0) return std::move(error).at({"", start.line, start.column});
  const LineColumn in_text =
      line_column(text, byte_of_character(text, static_cast<std::size_t>(raw.cursorpos - 1)));
  const int column = in_text.line == 1 ? start.column + in_text.column - 1 : in_text.column;
  return std::move(error).at({"", start.line + in_text.line - 1, column});
}

struct ParsedTree {
  std::shared_ptr<const PgQuery__ParseResult> tree;
  std::optional<Error> error;
};

// Needs the large stack: parsing, reading, measuring and freeing a tree all recurse.
ParsedTree parse_tree(const std::string& text, LineColumn start) {
  const PgQueryProtobufParseResult raw = pg_query_parse_protobuf(text.c_str());
  ParsedTree parsed;
  PgQuery__ParseResult* tree = nullptr;
  if (raw.error != nullptr) {
    parsed.error = syntax_error(*raw.error, text, start);
  } else {
    tree = pg_query__parse_result__unpack(nullptr, raw.parse_tree.len,
                                          reinterpret_cast<const uint8_t*>(raw.parse_tree.data));
    if (tree == nullptr) parsed.error = internal_error("the SQL parser's answer cannot be read");
  }
  pg_query_free_protobuf_parse_result(raw);
  if (tree == nullptr) return parsed;
  if (depth(&tree->base) > kTreeDepthMax) {
    pg_query__parse_result__free_unpacked(tree, nullptr);
    parsed.error =
        user_error("schema.too_deep", fmt::format("the statement nests deeper than {} levels", kTreeDepthMax))
            .with_hint("use IN (...) or = ANY (...) for long chains of terms")
            .at({"", start.line, start.column});
    return parsed;
  }
  parsed.tree = std::shared_ptr<const PgQuery__ParseResult>(tree, [](const PgQuery__ParseResult* owned) {
    pg_query__parse_result__free_unpacked(const_cast<PgQuery__ParseResult*>(owned), nullptr);
  });
  return parsed;
}

constexpr int kHalvedMax = 100;  // statements that are read again up to their first semicolon

bool opens(int token) {
  return token == '(' || token == '[';
}
bool closes(int token) {
  return token == ')' || token == ']';
}

}  // namespace

// Splits at the semicolons that end statements: those outside parentheses and BEGIN ATOMIC bodies.
class ScriptParser {
 public:
  explicit ScriptParser(Script& script) : script_(script) {}

  // Fails only as a whole; a statement's own error goes into the script.
  Status run() {
    PL_TRY(Scanned scanned, scan_all(script_.text));
    for (const Token& token : scanned.tokens)
      if (token.comment) script_.comments.push_back({token.range, 0});
    int line = 1;
    std::size_t at = 0;
    for (Comment& comment : script_.comments) {
      line += static_cast<int>(
          std::count(script_.text.begin() + static_cast<std::ptrdiff_t>(at),
                     script_.text.begin() + static_cast<std::ptrdiff_t>(comment.range.begin), '\n'));
      at = comment.range.begin;
      comment.line = line;
    }
    std::erase_if(scanned.tokens, [](const Token& token) { return token.comment; });
    std::size_t next = 0;
    while (next < scanned.tokens.size()) {
      const std::span rest = std::span(scanned.tokens).subspan(next);
      const Extent extent = extent_of(rest);
      // A string that nothing ends belongs to the last statement.
      const bool last = scanned.open && next + extent.size == scanned.tokens.size();
      if (last && rest[extent.size - 1].id != ';' && inner_semicolon(rest) == rest.size()) break;
      PL_TRY(const std::size_t taken, finish(rest.first(extent.size), extent.open || last));
      next += taken;
    }
    if (!scanned.open) return {};
    const std::size_t begin =
        next < scanned.tokens.size() ? scanned.tokens[next].range.begin : script_.text.size();
    return refuse(std::move(*scanned.open), {begin, script_.text.size()});
  }

 private:
  // Offsets come in ascending order, so that a script of n bytes costs n and not n for each statement.
  LineColumn position(std::size_t offset) {
    const LineColumn step = line_column(std::string_view(script_.text).substr(at_), offset - at_);
    here_ = {here_.line + step.line - 1, step.line == 1 ? here_.column + step.column - 1 : step.column};
    at_ = offset;
    return here_;
  }

  struct Extent {
    std::size_t size = 0;  // tokens up to the semicolon that ends the first statement, that one among them
    bool open = false;     // a parenthesis or body goes on at the end of the script
  };
  static Extent extent_of(std::span<const Token> tokens) {
    int parentheses = 0;
    int atomic = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const int id = tokens[i].id;
      if (id == ';' && parentheses <= 0 && atomic == 0) return {i + 1, false};
      parentheses += (id == '(') - (id == ')');
      if (id == PG_QUERY__TOKEN__ATOMIC && i > 0 && tokens[i - 1].id == PG_QUERY__TOKEN__BEGIN_P)
        atomic = 1;
      else if (atomic > 0)
        atomic += (id == PG_QUERY__TOKEN__CASE) - (id == PG_QUERY__TOKEN__END_P);
    }
    return {tokens.size(), parentheses > 0 || atomic > 0};
  }

  static std::size_t inner_semicolon(std::span<const Token> tokens) {
    return static_cast<std::size_t>(std::ranges::find(tokens, static_cast<int>(';'), &Token::id) -
                                    tokens.begin());
  }

  Status refuse(Error error, ByteRange range) {
    script_.errors.push_back(std::move(error));
    script_.failed.push_back(range);
    return {};
  }

  // How many of the tokens the statement has taken: where one is left open, those up to the first semicolon,
  // so that the statements behind it are read.
  Result<std::size_t> finish(std::span<const Token> tokens, bool open) {
    const std::size_t all = tokens.size();
    if (tokens.back().id == ';') tokens = tokens.first(all - 1);
    if (tokens.empty()) return all;
    const ByteRange range{tokens.front().range.begin, tokens.back().range.end};
    const LineColumn start = position(range.begin);
    if (script_.statements.size() + script_.errors.size() >= kStatementsMax)
      return fail(user_error("schema.too_large", fmt::format("more than {} statements", kStatementsMax)));
    ParsedTree parsed;
    Statement statement;
    if (range.size() > kStatementBytesMax) {
      parsed.error =
          too_large("a statement", range.size(), kStatementBytesMax).at({"", start.line, start.column});
    } else {
      statement.text_ = script_.text.substr(range.begin, range.size());
      parsed = parse_tree(statement.text_, start);
    }
    if (parsed.error) {
      const std::size_t within = inner_semicolon(tokens);
      if (open && within < tokens.size() && ++halved_ <= kHalvedMax)
        return finish(tokens.first(within + 1), false);
      PL_CHECK(refuse(std::move(*parsed.error), range));
      return all;
    }
    if (parsed.tree->n_stmts != 1) {
      PL_CHECK(refuse(internal_error("a statement was read as several").at({"", start.line, start.column}),
                      range));
      return all;
    }
    statement.offset_ = range.begin;
    statement.start_ = start;
    statement.tokens_.assign(tokens.begin(), tokens.end());
    for (Token& token : statement.tokens_)
      token.range = {token.range.begin - range.begin, token.range.end - range.begin};
    statement.tree_ = std::move(parsed.tree);
    statement.node_ = statement.tree_->stmts[0]->stmt;
    statement.kind_ = kind_of(statement.node_);
    script_.statements.push_back(std::move(statement));
    return all;
  }

  Script& script_;
  std::size_t at_ = 0;
  LineColumn here_;
  int halved_ = 0;
};

LineColumn Statement::position(std::size_t offset_in_text) const {
  const LineColumn in_text = line_column(text_, offset_in_text);
  return {start_.line + in_text.line - 1,
          in_text.line == 1 ? start_.column + in_text.column - 1 : in_text.column};
}

std::string_view Statement::slice(ByteRange range) const {
  const std::size_t begin = std::min(range.begin, text_.size());
  return std::string_view(text_).substr(begin, std::min(range.end, text_.size()) - begin);
}

ByteRange Statement::words(std::initializer_list<std::string_view> wanted, std::size_t from) const {
  return find_words(text_, tokens_, wanted, from).value_or(ByteRange{0, text_.size()});
}

ByteRange Statement::name_at(std::size_t begin) const {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].range.begin != begin) continue;
    while (i + 2 < tokens_.size() && tokens_[i + 1].id == '.') i += 2;
    return {begin, tokens_[i].range.end};
  }
  return {begin, begin};
}

std::vector<ByteRange> Statement::actions() const {
  const auto* alter = as<PgQuery__AlterTableStmt>(node_);
  if (alter == nullptr || alter->relation == nullptr) return {};
  std::size_t begin = name_at(static_cast<std::size_t>(std::max(0, alter->relation->location))).end;
  std::vector<ByteRange> ranges;
  std::optional<ByteRange> action;
  int nesting = 0;
  for (const Token& token : tokens_) {
    if (token.range.begin < begin || (token.id == '*' && !action)) continue;
    if (token.id == ',' && nesting == 0) {
      if (action) ranges.push_back(*action);
      action.reset();
      continue;
    }
    nesting += opens(token.id) - closes(token.id);
    action = ByteRange{action ? action->begin : token.range.begin, token.range.end};
  }
  if (action) ranges.push_back(*action);
  // Where tree and tokens disagree the whole statement is the honest answer.
  if (ranges.size() != alter->n_cmds) ranges.assign(alter->n_cmds, {0, text_.size()});
  return ranges;
}

Result<Script> parse_script(std::string_view text) {
  if (text.size() > kScriptBytesMax) return fail(too_large("the script", text.size(), kScriptBytesMax));
  PL_CHECK(check_text(text));
  Script script;
  script.text = text;
  // A byte order mark would be read as part of the first word.
  if (text.starts_with("\xEF\xBB\xBF")) script.text.replace(0, 3, "   ");
  Status status;
  PL_CHECK(run_with_large_stack([&] { status = ScriptParser(script).run(); }));
  PL_CHECK(std::move(status));
  return script;
}

Result<Statement> parse_statement(std::string_view text) {
  PL_CHECK(check_statement(text));
  PL_TRY(auto script, parse_script(text));
  if (!script.errors.empty()) return fail(std::move(script.errors.front()));
  if (script.statements.size() != 1)
    return fail(user_error("schema.one_statement", fmt::format("one statement was expected, and there are {}",
                                                               script.statements.size())));
  return std::move(script.statements.front());
}

Result<std::string> statement_fingerprint(std::string_view text) {
  PL_CHECK(check_statement(text));
  Result<std::string> answer;
  const std::string terminated(text);
  PL_CHECK(run_with_large_stack([&] {
    const PgQueryFingerprintResult raw = pg_query_fingerprint(terminated.c_str());
    if (raw.error != nullptr)
      answer = fail(syntax_error(*raw.error, terminated, {}));
    else
      answer = std::string(raw.fingerprint_str);
    pg_query_free_fingerprint_result(raw);
  }));
  return answer;
}

Result<std::string> normalise_statement(std::string_view text) {
  PL_CHECK(check_statement(text));
  Result<std::string> answer;
  const std::string terminated(text);
  PL_CHECK(run_with_large_stack([&] {
    const PgQueryNormalizeResult raw = pg_query_normalize(terminated.c_str());
    if (raw.error != nullptr)
      answer = fail(syntax_error(*raw.error, terminated, {}));
    else
      answer = std::string(raw.normalized_query);
    pg_query_free_normalize_result(raw);
  }));
  return answer;
}

}  // namespace poundlock::schema
