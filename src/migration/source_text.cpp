#include "migration/source_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "migration/source_words.h"

namespace poundlock::migration {
namespace {

using schema::equals_ignoring_case;

constexpr std::size_t kPlaceholderBytesMax = 200;
constexpr std::size_t kCommandBytesMax = 200;

Error no_text(std::string message, std::string hint, const std::string& file) {
  return user_error("migration.encoding", std::move(message)).with_hint(std::move(hint)).at({file, 1, 1});
}

// UTF-16 without its mark: mostly ASCII, and so every second byte is NUL.
bool looks_like_utf16(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, 64);
  std::size_t nuls[2] = {0, 0};
  for (std::size_t i = 0; i < head.size(); ++i) nuls[i % 2] += head[i] == '\0' ? 1 : 0;
  return head.size() >= 4 && (nuls[0] == 0) != (nuls[1] == 0) && (nuls[0] + nuls[1]) * 3 >= head.size();
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_word(char c) {
  return is_letter(c) || (c >= '0' && c <= '9') || c == '$';
}

// PostgreSQL's lexical rules, as far as they say what is a string or a comment.
class Stripper {
 public:
  Stripper(std::string_view sql, Tool tool) : sql_(sql), tool_(tool) { out_.sql.reserve(sql.size()); }

  PlainSql run() && {
    while (at_ < sql_.size()) {
      const char c = sql_[at_];
      if (c == '-' && next() == '-') {
        copy_to(std::min(sql_.find('\n', at_), sql_.size()));
      } else if (c == '/' && next() == '*') {
        copy_to(end_of_comment());
      } else if (c == '\'') {
        quoted('\'', escapes());
      } else if (c == '"') {
        quoted('"', false);
      } else if (c == '$' && next() == '{') {
        placeholder();
      } else if (c == '$' && !is_word(before())) {
        dollar();
      } else if (c == '\\') {
        command();
      } else if (c == ';') {
        end_statement();
      } else if (c == ':') {
        colon();
      } else if (is_letter(c)) {
        word();
      } else {
        brackets_ += static_cast<int>(c == '[') - static_cast<int>(c == ']');
        some_ = some_ || trimmed(sql_.substr(at_, 1)).size() == 1;
        copy_to(at_ + 1);
      }
    }
    return std::move(out_);
  }

 private:
  char next() const { return at_ + 1 < sql_.size() ? sql_[at_ + 1] : '\0'; }
  char before() const { return at_ == 0 ? '\0' : sql_[at_ - 1]; }

  void copy_to(std::size_t end) {
    out_.sql += sql_.substr(at_, end - at_);
    at_ = end;
  }

  std::size_t end_of_comment() const {
    int depth = 0;
    for (std::size_t i = at_; i + 1 < sql_.size(); ++i) {
      if (sql_[i] == '/' && sql_[i + 1] == '*') {
        ++depth;
        ++i;
      } else if (sql_[i] == '*' && sql_[i + 1] == '/') {
        ++i;
        if (--depth == 0) return i + 1;
      }
    }
    return sql_.size();
  }

  // E'...' has backslash escapes: a quote behind one ends nothing.
  bool escapes() const {
    return at_ > 0 && (before() == 'e' || before() == 'E') && (at_ == 1 || !is_word(sql_[at_ - 2]));
  }

  void quoted(char quote, bool escapes) {
    std::size_t i = at_ + 1;
    while (i < sql_.size() && sql_[i] != quote) i += escapes && sql_[i] == '\\' ? 2 : 1;
    some_ = true;
    copy_to(std::min(i + 1, sql_.size()));
  }

  void dollar() {
    std::size_t i = at_ + 1;
    if (i < sql_.size() && is_letter(sql_[i]))
      while (i < sql_.size() && is_word(sql_[i]) && sql_[i] != '$') ++i;
    some_ = true;
    if (i >= sql_.size() || sql_[i] != '$') return copy_to(at_ + 1);
    const std::string_view tag = sql_.substr(at_, i + 1 - at_);
    const auto close = sql_.find(tag, i + 1);
    copy_to(close == std::string_view::npos ? sql_.size() : close + tag.size());
  }

  // ${schema}.orders reads as pl_schema.orders: a name of the same length, so that no column moves.
  void placeholder() {
    const auto close = sql_.substr(at_, kPlaceholderBytesMax).find('}');
    some_ = true;
    if (close == std::string_view::npos || close < 3) return copy_to(at_ + 1);
    const std::string_view written = sql_.substr(at_, close + 1);
    std::string name = "pl_";
    for (const char c : written.substr(2, close - 2))
      name += is_word(c) && c != '$' && static_cast<unsigned char>(c) < 0x80 ? c : '_';
    if (written.find('\n') != std::string_view::npos) return copy_to(at_ + 1);
    unresolved(written);
    if (out_.placeholders.size() < kPlaceholdersMax) {
      out_.placeholders.emplace(name, written);
      // What is made of the tree has bare names in lower case.
      std::string folded = name;
      std::ranges::transform(folded, folded.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      });
      out_.placeholders.emplace(std::move(folded), written);
    }
    out_.sql += name;
    at_ += written.size();
  }

  PsqlCommand place(std::string_view line) {
    // Commands come in ascending order: a file of n bytes costs n, and not n for each of them.
    const std::string_view passed = sql_.substr(counted_, at_ - counted_);
    line_ += static_cast<int>(std::ranges::count(passed, '\n'));
    counted_ = at_;
    const auto begin = at_ == 0 ? std::string_view::npos : sql_.rfind('\n', at_ - 1);
    const std::string_view head =
        sql_.substr(begin == std::string_view::npos ? 0 : begin + 1, at_ - begin - 1);
    const auto column =
        std::ranges::count_if(head, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
    return {line_, static_cast<int>(column) + 1, std::string(trimmed(line.substr(0, kCommandBytesMax)))};
  }

  void unresolved(std::string_view written) {
    if (!out_.unresolved) out_.unresolved = place(written);
  }

  // From the backslash to the line's end. \g and its like send what stands before them, as a semicolon does.
  void command() {
    // \; ends a statement of several that are sent together, and \\ a command before further SQL.
    if (next() == ';') {
      out_.sql += ' ';
      ++at_;
      return;
    }
    std::string_view line = sql_.substr(at_, std::min(sql_.find('\n', at_), sql_.size()) - at_);
    if (const auto more = line.find("\\\\", 1); more != std::string_view::npos) line = line.substr(0, more);
    if (out_.commands.size() < kPsqlCommandsMax) out_.commands.push_back(place(line));
    const std::string_view name = line.substr(1);
    const bool sends = name.starts_with("g") || name.starts_with("watch") || name.starts_with("crosstab");
    if (sends && some_) {
      out_.sql += ';';
      begin_statement();
    }
    at_ += line.size();
    if (!sql_.substr(at_).starts_with("\\\\")) return;
    // What comes behind stays in its column.
    const std::size_t ended = sends && out_.sql.ends_with(';') ? 1 : 0;
    out_.sql.append(line.size() + 2 - ended, ' ');
    at_ += 2;
  }

  void word() {
    std::size_t i = at_;
    while (i < sql_.size() && is_word(sql_[i]) && !sql_.substr(i).starts_with("${")) ++i;
    const std::string_view one = sql_.substr(at_, i - at_);
    if (!some_) copy_ = equals_ignoring_case(one, "copy");
    if (copy_ && equals_ignoring_case(one, "stdin")) data_ = equals_ignoring_case(last_, "from");
    last_ = one;
    some_ = true;
    copy_to(i);
  }

  // psql's variables; :: is a cast, := an assignment, and [1:n] a slice.
  void colon() {
    const bool doubled = next() == ':' || next() == '=' || before() == ':';
    some_ = true;
    if (tool_ == Tool::kPlain && !doubled && brackets_ <= 0 &&
        (is_letter(next()) || next() == '\'' || next() == '"')) {
      const std::string_view rest = sql_.substr(at_, kPlaceholderBytesMax);
      unresolved(rest.substr(0, rest.find_first_of(" \t\r\n;,()", 1)));
      out_.sql += ' ';
      ++at_;
      return;
    }
    copy_to(at_ + 1);
  }

  void begin_statement() {
    some_ = copy_ = data_ = false;
    last_ = {};
    brackets_ = 0;
  }

  void end_statement() {
    const bool data = data_;
    begin_statement();
    if (data) unresolved("COPY ... FROM STDIN");
    copy_to(at_ + 1);
    if (!data) return;
    copy_to(std::min(sql_.find('\n', at_), sql_.size() - 1) + 1);
    while (at_ < sql_.size()) {
      std::string_view rest = sql_.substr(at_);
      const std::string_view line = take_line(rest);
      at_ += line.size();
      if (line.ends_with('\n')) out_.sql += '\n';
      if (trimmed(line) == "\\.") return;
    }
  }

  std::string_view sql_;
  const Tool tool_;
  PlainSql out_;
  std::size_t at_ = 0;
  std::size_t counted_ = 0;  // up to here line_ has counted
  int line_ = 1;
  int brackets_ = 0;
  bool some_ = false;  // the statement has begun
  bool copy_ = false;  // with the word COPY
  bool data_ = false;  // and is one FROM STDIN
  std::string_view last_;
};

}  // namespace

Result<std::string_view> utf8_text(std::string_view bytes, const std::string& file) {
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF") || looks_like_utf16(bytes))
    return fail(no_text("the file is UTF-16", "Save the file as UTF-8: iconv -f UTF-16 -t UTF-8", file));
  if (bytes.starts_with("PGDMP"))
    return fail(
        no_text("the file is an archive of pg_dump", "Turn it into SQL: pg_restore -f FILE.sql", file));
  for (const std::string_view magic : {"\x1F\x8B", "PK\x03\x04", "BZh", "\x28\xB5\x2F\xFD",
                                       "\xFD"
                                       "7zXZ"})
    if (bytes.starts_with(magic)) return fail(no_text("the file is compressed", "Unpack it first", file));
  std::string_view text = bytes;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::size_t nul = text.find('\0');
  const std::size_t wrong = std::min(first_invalid_utf8(text.substr(0, nul)), nul);
  if (wrong == std::string_view::npos) return text;
  const SourcePosition where = position_at(text.substr(0, wrong), wrong, file);
  Error error =
      wrong == nul
          ? user_error("migration.encoding", "a NUL byte: this is no SQL text")
                .with_hint("Name SQL files alone; a binary file among them is left out by `ignore`")
          : user_error("migration.encoding",
                       fmt::format("the byte 0x{:02X} is no UTF-8", static_cast<unsigned char>(text[wrong])))
                .with_hint(
                    "Save the file as UTF-8: iconv -f ISO-8859-1 -t UTF-8, or whatever it is written in");
  return fail(std::move(error).at(where));
}

PlainSql plain_sql(std::string_view sql, Tool tool) {
  return Stripper(sql, tool).run();
}

bool only_talks(std::string_view command) {
  const std::string_view name = command.substr(0, command.find_first_of(" \t"));
  if (name == "\\set") {
    const std::string_view what = trimmed(command.substr(name.size()));
    for (const std::string_view known : {"ON_ERROR_STOP", "QUIET", "ECHO", "VERBOSITY"})
      if (what.starts_with(known)) return true;
    return false;
  }
  for (const std::string_view known :
       {"\\echo", "\\qecho", "\\warn", "\\timing", "\\pset", "\\x", "\\restrict", "\\unrestrict"})
    if (name == known) return true;
  return false;
}

Result<std::string> runnable_sql(const Source& source) {
  PlainSql plain = plain_sql(source.sql, source.tool);
  const auto refuse = [&](const PsqlCommand& one, std::string message, std::string hint) {
    return fail(user_error("migration.psql", std::move(message))
                    .with_hint(std::move(hint))
                    .at({source.file, one.line + source.line - 1, one.column}));
  };
  for (const PsqlCommand& one : plain.commands) {
    if (only_talks(one.text) && source.tool == Tool::kPlain) continue;
    if (source.sql.starts_with(kOwnScript))
      return refuse(one,
                    "this script was written by plan, and asks the database itself what is there already",
                    "run it by psql; plan the migration that it was written of");
    return refuse(one, fmt::format("only psql knows the command {}", one.text),
                  "write SQL in its place, and name the files that it includes");
  }
  if (plain.commands.size() == kPsqlCommandsMax)
    return refuse(plain.commands.back(), fmt::format("more than {} commands of psql", kPsqlCommandsMax),
                  "this is a script for psql: keep the SQL of the change in a file of its own");
  if (!plain.unresolved) return std::move(plain.sql);
  const PsqlCommand& one = *plain.unresolved;
  if (one.text.starts_with("COPY"))
    return refuse(one, "rows that stand in the file, behind COPY ... FROM STDIN, are no part of a change",
                  "load them by a file of their own");
  return refuse(one, fmt::format("the value of {} is known to the tool that runs the file alone", one.text),
                "put the value in its place, and give the result on standard input: `-`");
}

std::string with_placeholders(std::string text, const PlainSql& plain) {
  // Backwards: pl_ab comes before pl_a, which it begins with.
  for (auto one = plain.placeholders.rbegin(); one != plain.placeholders.rend(); ++one) {
    const auto& [name, written] = *one;
    for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + written.size()))
      text.replace(at, name.size(), written);
  }
  return text;
}

}  // namespace poundlock::migration
