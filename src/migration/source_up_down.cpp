#include "migration/source_up_down.h"

#include <array>

#include "migration/source_words.h"

namespace poundlock::migration {
namespace {

using schema::equals_ignoring_case;

enum class Mark { kNone, kUp, kDown, kNoTransaction, kStatementEnd };

struct Annotation {
  Mark mark = Mark::kNone;
  Tool tool = Tool::kPlain;
  bool transaction = true;  // of the part that it begins
};

// Does one of the words that stand between blanks say so?
bool says(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const auto end = std::min(words.find_first_of(" \t"), words.size());
    if (equals_ignoring_case(words.substr(0, end), word)) return true;
    words = trimmed(words.substr(end));
  }
  return false;
}

Annotation annotation(std::string_view line) {
  if (!line.starts_with("--")) return {};
  std::string_view text = trimmed(line.substr(2));
  constexpr std::array kPrefixes{std::pair{std::string_view("+goose "), Tool::kGoose},
                                 std::pair{std::string_view("+migrate "), Tool::kSqlMigrate},
                                 std::pair{std::string_view("migrate:"), Tool::kDbmate}};
  for (const auto& [prefix, tool] : kPrefixes) {
    if (!take_word(text, prefix)) continue;
    const auto end = std::min(text.find_first_of(" \t"), text.size());
    const std::string_view word = text.substr(0, end);
    const std::string_view rest = trimmed(text.substr(end));
    const bool none = tool == Tool::kDbmate ? says(rest, "transaction:false") : says(rest, "notransaction");
    if (equals_ignoring_case(word, "up")) return {Mark::kUp, tool, !none};
    if (equals_ignoring_case(word, "down")) return {Mark::kDown, tool, !none};
    if (equals_ignoring_case(word, "StatementEnd")) return {Mark::kStatementEnd, tool};
    if (tool == Tool::kGoose && equals_ignoring_case(text, "no transaction"))
      return {Mark::kNoTransaction, tool};
    return {};
  }
  return {};
}

std::string_view base_name(std::string_view path) {
  const auto slash = path.find_last_of("/\\");
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// 000007 of 000007_note.up.sql; "" where the name begins with no digit.
std::string number_of(std::string_view file) {
  const std::string_view name = base_name(file);
  return std::string(name.substr(0, std::min(name.find_first_not_of("0123456789"), name.size())));
}

// One of the two parts, with an empty line for each line of the other.
struct Part {
  Source source;
  bool begun = false;
  std::size_t used = 0;  // behind the last byte that is the part's own

  void take(std::string_view line) {
    source.sql += line;
    used = source.sql.size();
  }
  void pass(std::string_view line) {
    if (line.ends_with('\n')) source.sql += '\n';
  }
  // The tools take a statement for ended at StatementEnd, with a semicolon or without.
  void end_statement(std::string_view line) {
    if (!trimmed(source.sql).ends_with(';')) source.sql += ';';
    take(line);
  }
};

}  // namespace

std::optional<std::vector<Source>> read_up_and_down(std::string_view text, const std::string& file) {
  Part up{.source = {.file = file}};
  Part down{.source = {.file = file, .kind = Kind::kUndo}};
  bool goose_transaction = true;  // of the whole file
  Part* open = &up;               // what stands before the first mark: comments, and what the tool refuses
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    const Annotation found = annotation(line);
    if (found.mark == Mark::kNoTransaction) goose_transaction = false;
    if (found.mark == Mark::kUp || found.mark == Mark::kDown) {
      open = found.mark == Mark::kUp ? &up : &down;
      if (!open->begun) open->source.in_transaction = true;
      if (open == &down && !open->begun) {
        open->source.sql.clear();
        open->source.line = number;
      }
      open->begun = true;
      open->source.tool = found.tool;
      open->source.in_transaction = open->source.in_transaction && found.transaction;
    }
    Part& other = open == &up ? down : up;
    if (found.mark == Mark::kStatementEnd)
      open->end_statement(line);
    else
      open->take(line);
    other.pass(line);
  }
  if (!up.begun && !down.begun) return std::nullopt;
  if (!up.begun) up.source.tool = down.source.tool;
  std::vector<Source> out;
  for (Part* part : {&up, &down}) {
    if (part == &down && !down.begun) continue;
    part->source.sql.resize(part->used);
    part->source.version = number_of(file);
    if (part->source.tool == Tool::kGoose && !goose_transaction) part->source.in_transaction = false;
    out.push_back(std::move(part->source));
  }
  return out;
}

bool read_up_or_down_name(std::string_view file, Source& source) {
  const std::string_view name = base_name(file);
  for (const auto& [end, kind] : {std::pair{std::string_view(".up.sql"), Kind::kVersioned},
                                  std::pair{std::string_view(".down.sql"), Kind::kUndo}}) {
    const bool whole = equals_ignoring_case(name, end.substr(1));
    const bool ends =
        name.size() > end.size() && equals_ignoring_case(name.substr(name.size() - end.size()), end);
    if (!whole && !ends) continue;
    source.kind = kind;
    source.version = number_of(file);
    return true;
  }
  return false;
}

}  // namespace poundlock::migration
