#include "engine/reach_words.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace poundlock::engine {
namespace {

constexpr std::array<std::string_view, 10> kBeyondPrefixes{
    "dblink",    "pg_file_",   "pg_terminate_", "pg_cancel_", "pg_reload_", "pg_create_restore_",
    "lo_export", "pg_promote", "pg_rotate_",    "pg_switch_"};
constexpr std::array<std::string_view, 7> kBeyond{"pg_drop_replication_slot",
                                                  "pg_create_physical_replication_slot",
                                                  "pg_create_logical_replication_slot",
                                                  "pg_wal_replay_pause",
                                                  "pg_stat_reset_shared",
                                                  "lo_import",
                                                  "pg_replication_origin_drop"};
constexpr std::array<std::string_view, 5> kExtensions{"dblink", "postgres_fdw", "file_fdw", "pg_cron",
                                                      "adminpack"};
constexpr std::array<std::string_view, 3> kVerbs{"CREATE", "ALTER", "DROP"};
constexpr std::array<std::string_view, 7> kObjects{"ROLE",       "USER",         "GROUP", "DATABASE",
                                                   "TABLESPACE", "SUBSCRIPTION", "SERVER"};
constexpr std::array<std::string_view, 8> kPairs{"ALTER SYSTEM",   "DROP OWNED",     "REASSIGN OWNED",
                                                 "SET TABLESPACE", "CREATE FOREIGN", "PREPARE TRANSACTION",
                                                 "IMPORT FOREIGN", "DATA WRAPPER"};
// What GRANT, COMMENT and SECURITY LABEL name after their ON.
constexpr std::array<std::string_view, 7> kOn{"ROLE",   "DATABASE",  "TABLESPACE", "SUBSCRIPTION",
                                              "SERVER", "PARAMETER", "FOREIGN"};
// After these a statement begins.
constexpr std::array<std::string_view, 6> kBegins{"", ";", "BEGIN", "THEN", "ELSE", "LOOP"};

// The name of a file after COPY's FROM or TO: quoted, or put in by format() or by what follows the text.
constexpr std::array<std::string_view, 5> kFileNext{"'", "E", "L", "S", "|"};

bool among(const auto& all, std::string_view one) {
  return std::ranges::find(all, one) != all.end();
}

bool begins_word(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) > 127;
}
bool in_word(char c) {
  return begins_word(c) || (c >= '0' && c <= '9');
}

std::string lowered(std::string_view word) {
  std::string out(word);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

// A word in upper case, a quoted name after a '"', "'" for a quoted text, "|" where one begins that is read
// as code, and each of ; ( ) for itself.
using Tokens = std::vector<std::string>;

// One pass over the words of a text, each statement for itself.
class Words {
 public:
  std::string beyond(const Tokens& tokens) {
    for (const std::string& word : tokens) {
      std::string found = look(word);
      if (!found.empty()) return found;
      gap_ = word == "|";
      if (!gap_) before_ = word;  // 'CREATE ' || 'ROLE r'
    }
    return copy_to_ ? "COPY with a file of the server" : "";
  }

 private:
  std::string look(const std::string& word) {
    const bool name = word.starts_with('"');
    const std::string plain = lowered(name ? word.substr(1) : word);
    if (calls_beyond(plain)) return plain + "()";
    if (word == ";") {
      const bool file = copy_to_;  // what follows is put in at run time
      *this = Words{};
      return file ? "COPY with a file of the server" : "";
    }
    const std::string both = before_ + " " + word;
    if ((among(kObjects, word) && among(kVerbs, before_)) || among(kPairs, both)) return both;
    if (before_ == "ON" && !on_.empty() && among(kOn, word)) return on_ + " " + word;
    if (gap_ || among(kBegins, before_)) {
      if (word == "CHECKPOINT") return word;
      copy_ = copy_ || word == "COPY";
      revoke_ = revoke_ || word == "REVOKE";
      load_ = word == "LOAD";
    } else if (load_ && before_ == "LOAD" && word == "'") {
      return "LOAD";
    }
    if (std::string found = grants(word); !found.empty()) return found;
    if (std::string found = copies(word); !found.empty()) return found;
    if (extension_ && word != "IF" && word != "NOT" && word != "EXISTS" && word != "|") {
      if (leads_out(plain)) return "CREATE EXTENSION " + plain;
      extension_ = false;
    }
    extension_ = extension_ || both == "CREATE EXTENSION";
    return "";
  }

  std::string grants(const std::string& word) {
    if (grant_ && word == "TO") return "GRANT of a role";
    if (revoke_ && word == "FROM") return "REVOKE of a role";
    label_ = label_ || before_ + " " + word == "SECURITY LABEL";
    if (word == "ON") {
      on_ = grant_                 ? "GRANT ON"
            : revoke_              ? "REVOKE ON"
            : before_ == "COMMENT" ? "COMMENT ON"
            : label_               ? "SECURITY LABEL ON"
                                   : "";
      grant_ = revoke_ = false;
    }
    grant_ = grant_ || (word == "GRANT" && !revoke_);
    return "";
  }

  // Its own FROM and TO, not those of a query in brackets.
  std::string copies(const std::string& word) {
    if (!copy_) return "";
    if (copy_to_ && word == "PROGRAM") return "COPY ... PROGRAM";
    if (copy_to_ && among(kFileNext, word)) return "COPY with a file of the server";
    if (copy_to_) copy_ = copy_to_ = false;  // STDIN, or no COPY at all but a sentence
    if (word == "(") ++depth_;
    if (word == ")") --depth_;
    copy_to_ = copy_ && depth_ == 0 && before_ != "COPY" && (word == "TO" || word == "FROM");
    return "";
  }

  std::string before_, on_;
  bool gap_ = true;  // a text begins
  bool grant_ = false, revoke_ = false, label_ = false, extension_ = false, load_ = false;
  bool copy_ = false, copy_to_ = false;
  int depth_ = 0;
};

class Scanner {
 public:
  // `escapes`: a backslash escapes in every quoted text, as without standard_conforming_strings.
  Scanner(std::string_view text, bool escapes) : text_(text), escapes_(escapes) {}

  // The code; the quoted texts in it, between its semicolons, go to `quoted`.
  Tokens code(std::vector<std::string>& quoted) {
    Tokens out;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (skip_comment()) continue;
      if (begins_word(c)) {
        out.push_back(word('$'));
        if (out.back() == "E" && at_ < text_.size() && text_[at_] == '\'') {
          quoted.push_back(within('\'', true));
          out.back() = "'";
        }
      } else if (c == '\'') {
        quoted.push_back(within(c, escapes_));
        out.emplace_back("'");
      } else if (c == '"') {
        out.push_back('"' + within(c, false));
      } else if (c == '$' && dollars(quoted)) {
        out.emplace_back("'");
      } else {
        if (c == ';') quoted.emplace_back(";");
        if (c == ';' || c == '(' || c == ')') out.emplace_back(1, c);
        ++at_;
      }
    }
    return out;
  }

  // A piece of code that may begin and end anywhere: quotes in it are no more than gaps.
  void piece(bool comments, Tokens& out) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (comments && skip_comment()) continue;
      if (begins_word(c)) {
        out.push_back(word('_'));
        continue;
      }
      if (c == ';' || c == '(' || c == ')') out.emplace_back(1, c);
      if (c == '\'' || c == '$') out.emplace_back("'");
      ++at_;
    }
  }

 private:
  bool skip_comment() {
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with("--")) {
      at_ = std::min(text_.size(), text_.find('\n', at_));
      return true;
    }
    if (!rest.starts_with("/*")) return false;
    int depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const std::string_view here = text_.substr(at_, 2);
      depth += here == "/*" ? 1 : here == "*/" ? -1 : 0;
      if (here == "/*" || here == "*/") ++at_;
      if (depth == 0) break;
    }
    at_ = std::min(text_.size(), at_ + 1);
    return true;
  }

  std::string word(char also) {
    std::string out;
    for (; at_ < text_.size() && (in_word(text_[at_]) || text_[at_] == also); ++at_) {
      const char c = text_[at_];
      out += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    return out;
  }

  // Without its quotes; an escape that is no character for itself is a gap.
  std::string within(char quote, bool escapes) {
    std::string out;
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      const char after = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (c == quote && after != quote) break;
      const bool escaped = escapes && c == '\\';
      if (escaped || c == quote) ++at_;
      out += !escaped ? c : in_word(after) ? ' ' : after;
    }
    at_ = std::min(text_.size(), at_ + 1);
    return out;
  }

  bool dollars(std::vector<std::string>& quoted) {
    std::size_t end = at_ + 1;
    if (end < text_.size() && begins_word(text_[end]))
      while (end < text_.size() && in_word(text_[end])) ++end;
    if (end >= text_.size() || text_[end] != '$') return false;
    const std::string_view tag = text_.substr(at_, end + 1 - at_);
    const std::size_t from = end + 1, until = std::min(text_.size(), text_.find(tag, from));
    quoted.emplace_back(text_.substr(from, until - from));
    at_ = std::min(text_.size(), until + tag.size());
    return true;
  }

  std::string_view text_;
  bool escapes_;
  std::size_t at_ = 0;
};

}  // namespace

bool calls_beyond(std::string_view function) {
  return std::ranges::any_of(kBeyondPrefixes, [&](auto prefix) { return function.starts_with(prefix); }) ||
         among(kBeyond, function);
}

bool leads_out(std::string_view extension) {
  return among(kExtensions, extension);
}

std::string words_beyond(std::string_view code) {
  const bool either = code.find("\\'") != std::string_view::npos;
  for (const bool escapes : {false, true}) {
    if (escapes && !either) break;
    std::vector<std::string> quoted;
    if (std::string found = Words{}.beyond(Scanner(code, escapes).code(quoted)); !found.empty()) return found;
    // A piece of dynamic SQL may begin within quotes of its own, where a comment's sign is none.
    for (const bool comments : {true, false}) {
      Tokens tokens;
      for (const auto& text : quoted) {
        if (text != ";") tokens.emplace_back("|");
        Scanner(text, false).piece(comments, tokens);
      }
      if (std::string found = Words{}.beyond(tokens); !found.empty()) return found;
    }
  }
  return "";
}

}  // namespace poundlock::engine
