#include "migration/source_liquibase.h"

#include <fmt/format.h>

#include <optional>

#include "base/strings.h"
#include "migration/source_words.h"

namespace poundlock::migration {
namespace {

using schema::equals_ignoring_case;

// The text of a comment line behind its dashes; nullopt: the line is no comment.
std::optional<std::string_view> comment_of(std::string_view line) {
  line = trimmed(line);
  if (!line.starts_with("--")) return std::nullopt;
  return trimmed(line.substr(2));
}

// A word, or text in double or single quotes, up to a blank or one of `ends`.
std::optional<std::string> take_value(std::string_view& text, std::string_view ends) {
  if (!text.empty() && (text[0] == '"' || text[0] == '\'')) {
    const auto close = text.find(text[0], 1);
    if (close == std::string_view::npos) return std::nullopt;
    std::string value(text.substr(1, close - 1));
    text.remove_prefix(close + 1);
    return value;
  }
  const auto end = std::min(text.find_first_of(ends), text.size());
  std::string value(text.substr(0, end));
  text.remove_prefix(end);
  return value;
}

// "postgresql,h2", "!oracle", "all": does a changeset for these run here?
bool is_for_postgresql(std::string_view dbms) {
  bool named = false;
  bool others_only = true;
  while (!dbms.empty()) {
    const auto end = std::min(dbms.find(','), dbms.size());
    std::string_view one = trimmed(dbms.substr(0, end));
    dbms.remove_prefix(std::min(end + 1, dbms.size()));
    const bool negated = one.starts_with("!");
    if (negated) one = trimmed(one.substr(1));
    const bool ours = equals_ignoring_case(one, "postgresql") || equals_ignoring_case(one, "all");
    if (ours && negated) return false;
    named = named || ours;
    others_only = others_only && negated;
  }
  return named || others_only;
}

class Reader {
 public:
  Reader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Result<std::vector<Source>> run() && {
    bool ignoring = false;
    int to_ignore = 0;
    while (!text_.empty()) {
      ++line_;
      const std::string_view line = take_line(text_);
      std::optional<std::string_view> comment = comment_of(line);
      const bool skip = ignoring || to_ignore > 0;
      if (to_ignore > 0) --to_ignore;
      if (comment && take_word(*comment, "ignoreLines:")) {
        if (equals_ignoring_case(*comment, "start"))
          ignoring = true;
        else if (equals_ignoring_case(*comment, "end"))
          ignoring = false;
        else
          to_ignore = count_of(*comment);
        blank(line);
      } else if (skip) {
        blank(line);
      } else if (comment && take_word(*comment, "changeset ")) {
        PL_CHECK(begin(*comment, line));
      } else if (open_) {
        take(line, comment);
      }
    }
    finish();
    return std::move(sources_);
  }

 private:
  static int count_of(std::string_view digits) {
    int count = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9' || count > 1'000'000) break;
      count = count * 10 + (c - '0');
    }
    return count;
  }

  // Lines that Liquibase does not run still count for those behind them.
  void blank(std::string_view line) {
    if (open_ && line.ends_with('\n')) open_->sql += '\n';
  }

  void take(std::string_view line, std::optional<std::string_view> comment) {
    if (comment && open_->description.empty() && take_word(*comment, "comment"))
      open_->description = trimmed(comment->starts_with(":") ? comment->substr(1) : *comment);
    const std::string_view content = trimmed(line);
    if (delimiter_.empty() || !content.ends_with(delimiter_)) {
      open_->sql += line;
      return;
    }
    // A word such as GO ends a statement only where it stands alone on its line.
    const char first = delimiter_.front();
    const bool word = (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z');
    std::string out(line);
    if (!word || content == delimiter_) {
      const std::size_t at = line.rfind(delimiter_);
      out.replace(at, delimiter_.size(), ";" + std::string(delimiter_.size() - 1, ' '));
    }
    open_->sql += out;
  }

  Error wrong(std::string_view line, std::string_view at, std::string message) const {
    const SourcePosition in_line = position_at(
        line, std::min<std::size_t>(static_cast<std::size_t>(at.data() - line.data()), line.size()), file_);
    return user_error("migration.changeset", std::move(message))
        .with_hint("write --changeset AUTHOR:ID, with settings such as runInTransaction:false behind it")
        .at({file_, line_, in_line.column});
  }

  Status begin(std::string_view text, std::string_view line) {
    finish();
    if (sources_.size() == kChangesetsMax)
      return fail(user_error("migration.too_many", fmt::format("more than {} changesets", kChangesetsMax))
                      .at({file_, line_, 1}));
    Source source{.file = file_, .tool = Tool::kLiquibase, .in_transaction = true, .line = line_ + 1};
    const std::string_view name = text;
    const auto author = take_value(text, ": \t");
    const bool colon = text.starts_with(":");
    if (colon) text.remove_prefix(1);
    const auto id = take_value(text, " \t");
    if (!author || !colon || !id || author->empty() || id->empty())
      return fail(wrong(line, name, "a changeset has an author and an id"));
    source.version = *author + ":" + *id;
    bool here = true;
    delimiter_.clear();
    for (text = trimmed(text); !text.empty(); text = trimmed(text)) {
      const std::string_view setting = text;
      const auto key = take_value(text, ": \t");
      if (!key || !text.starts_with(":"))
        return fail(
            wrong(line, setting, fmt::format("the setting {} has no value", quote_for_message(setting))));
      text.remove_prefix(1);
      const auto value = take_value(text, " \t");
      if (!value)
        return fail(wrong(line, setting, fmt::format("the value of {} has no closing quote", *key)));
      PL_CHECK(set(source, here, *key, *value, line, setting));
    }
    if (here) open_ = std::move(source);
    return {};
  }

  Status set(Source& source, bool& here, std::string_view key, const std::string& value,
             std::string_view line, std::string_view at) {
    const bool yes = equals_ignoring_case(value, "true");
    const bool flag = equals_ignoring_case(key, "runInTransaction") ||
                      equals_ignoring_case(key, "runOnChange") || equals_ignoring_case(key, "runAlways") ||
                      equals_ignoring_case(key, "splitStatements");
    if (flag && !yes && !equals_ignoring_case(value, "false"))
      return fail(
          wrong(line, at, fmt::format("{} is true or false, and not {}", key, quote_for_message(value))));
    if (equals_ignoring_case(key, "runInTransaction")) source.in_transaction = yes;
    if ((equals_ignoring_case(key, "runOnChange") || equals_ignoring_case(key, "runAlways")) && yes)
      source.kind = Kind::kRepeatable;
    if (equals_ignoring_case(key, "endDelimiter") && value != ";") delimiter_ = value;
    if (equals_ignoring_case(key, "dbms")) here = is_for_postgresql(value);
    return {};
  }

  void finish() {
    if (open_) sources_.push_back(std::move(*open_));
    open_.reset();
  }

  std::string_view text_;
  const std::string& file_;
  int line_ = 0;
  std::optional<Source> open_;
  std::string delimiter_;  // endDelimiter, where it is not the semicolon
  std::vector<Source> sources_;
};

}  // namespace

bool is_liquibase(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (trimmed(line).empty()) continue;
    auto comment = comment_of(line);
    return comment && take_word(*comment, "liquibase") && take_word(*comment, "formatted") &&
           take_word(*comment, "sql");
  }
  return false;
}

Result<std::vector<Source>> read_changesets(std::string_view text, const std::string& file) {
  return Reader(text, file).run();
}

}  // namespace poundlock::migration
