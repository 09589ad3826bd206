#include "migration/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "migration/source_liquibase.h"
#include "migration/source_up_down.h"
#include "migration/source_words.h"
#include "schema/scan.h"

namespace poundlock::migration {
namespace {

using schema::equals_ignoring_case;

std::string_view base_name(std::string_view path) {
  const auto slash = path.find_last_of("/\\");
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view folder_of(std::string_view path) {
  const auto slash = path.find_last_of("/\\");
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

struct FlywayName {
  Kind kind = Kind::kVersioned;
  std::string version, description;
};

// V2_1__add_status.sql, U2.1__..., B7__..., R__views.sql. The prefix is upper case, as Flyway has it.
std::optional<FlywayName> flyway_name(std::string_view file) {
  std::string_view name = base_name(file);
  if (name.size() < 4 || !equals_ignoring_case(name.substr(name.size() - 4), ".sql")) return std::nullopt;
  name.remove_suffix(4);
  FlywayName out;
  switch (name.empty() ? '\0' : name[0]) {
    case 'V': break;
    case 'U': out.kind = Kind::kUndo; break;
    case 'B': out.kind = Kind::kBaseline; break;
    case 'R': out.kind = Kind::kRepeatable; break;
    default: return std::nullopt;
  }
  const auto separator = name.find("__");
  if (separator == std::string_view::npos) return std::nullopt;
  out.version = name.substr(1, separator - 1);
  if ((out.kind == Kind::kRepeatable) != out.version.empty()) return std::nullopt;
  bool digit_before = false;
  for (char& c : out.version) {
    if (c == '_') c = '.';
    if (c == '.' ? !digit_before : !is_digit(c)) return std::nullopt;
    digit_before = c != '.';
  }
  if (!out.version.empty() && !digit_before) return std::nullopt;
  out.description = name.substr(separator + 2);
  std::ranges::replace(out.description, '_', ' ');
  return out;
}

// Does every statement refuse a transaction? Flyway then leaves its own away by itself. Statements that set
// something are of either kind.
bool refuses_transactions(std::string_view sql) {
  const auto tokens = schema::scan(sql);
  if (!tokens) return false;
  std::vector<std::string_view> words;  // of the statement that is being gathered
  bool any = false;
  const auto starts = [&](std::initializer_list<std::string_view> with) {
    return words.size() >= with.size() &&
           std::equal(with.begin(), with.end(), words.begin(), equals_ignoring_case);
  };
  const auto refuses = [&] {
    const bool concurrently = std::ranges::any_of(
        words, [](std::string_view word) { return equals_ignoring_case(word, "concurrently"); });
    if (concurrently) return !starts({"refresh"});
    return starts({"vacuum"}) || starts({"create", "database"}) || starts({"drop", "database"}) ||
           starts({"create", "tablespace"}) || starts({"drop", "tablespace"}) ||
           starts({"create", "subscription"}) || starts({"drop", "subscription"}) ||
           starts({"alter", "system"}) || starts({"discard", "all"}) || starts({"reindex", "system"}) ||
           starts({"reindex", "database"}) || starts({"reindex", "schema"});
  };
  for (std::size_t i = 0; i <= tokens->size(); ++i) {
    if (i < tokens->size() && (*tokens)[i].comment) continue;
    if (i < tokens->size() && (*tokens)[i].id != ';') {
      words.push_back(sql.substr((*tokens)[i].range.begin, (*tokens)[i].range.size()));
      continue;
    }
    if (!words.empty() && !starts({"set"}) && !starts({"reset"})) {
      if (!refuses()) return false;
      any = true;
    }
    words.clear();
  }
  return any;
}

// Flyway's script configuration: KEY=VALUE lines, # or ! for comments. nullopt: it does not say.
Result<std::optional<bool>> execute_in_transaction(std::string_view conf, const std::string& file) {
  std::optional<bool> answer;
  for (int number = 1; !conf.empty(); ++number) {
    const std::string_view line = take_line(conf);
    std::string_view text = trimmed(line);
    if (text.empty() || text[0] == '#' || text[0] == '!' || text[0] == '[') continue;
    if (text.starts_with("flyway.")) text.remove_prefix(7);
    const auto end = text.find_first_of("=:");
    if (!equals_ignoring_case(trimmed(text.substr(0, end)), "executeInTransaction")) continue;
    const std::string_view value = end == std::string_view::npos ? "" : trimmed(text.substr(end + 1));
    if (!equals_ignoring_case(value, "true") && !equals_ignoring_case(value, "false"))
      return fail(
          user_error("migration.conf", fmt::format("executeInTransaction is true or false, and not {}",
                                                   quote_for_message(value)))
              .at({file + ".conf", number, 1}));
    answer = equals_ignoring_case(value, "true");
  }
  return answer;
}

// The revision of Alembic's "-- Running upgrade 1975ea83b712 -> ae1027a6acf, add a column": the last one.
bool read_alembic(std::string_view text, Source& source) {
  bool found = false;
  while (!text.empty()) {
    std::string_view line = trimmed(take_line(text));
    if (!take_word(line, "-- Running upgrade") && !take_word(line, "-- Running downgrade")) continue;
    const auto arrow = line.find("->");
    if (arrow == std::string_view::npos) continue;
    line = trimmed(line.substr(arrow + 2));
    const auto end = std::min(line.find_first_of(" ,"), line.size());
    source.version = line.substr(0, end);
    source.description = trimmed(line.substr(std::min(line.find_first_not_of(" ,", end), line.size())));
    found = true;
  }
  return found;
}

// Django writes each operation below "--", "-- Add field status to order", "--", mostly behind a BEGIN.
bool read_django(std::string_view text, Source& source) {
  std::vector<std::string_view> lines;
  while (!text.empty() && lines.size() < 4) {
    const std::string_view line = trimmed(take_line(text));
    if (!line.empty()) lines.push_back(line);
  }
  const bool begun = !lines.empty() && equals_ignoring_case(lines[0], "BEGIN;");
  if (begun) lines.erase(lines.begin());
  if (lines.size() < 3 || lines[0] != "--" || !lines[1].starts_with("-- ") || lines[2] != "--") return false;
  source.description = trimmed(lines[1].substr(2));
  return true;
}

std::string_view without_zeros(std::string_view part) {
  part.remove_prefix(std::min(part.find_first_not_of('0'), part.size()));
  return part;
}

std::string_view take_part(std::string_view& version) {
  const auto end = std::min(version.find_first_of("._"), version.size());
  const std::string_view part = without_zeros(version.substr(0, end));
  version.remove_prefix(std::min(end + 1, version.size()));
  return part;
}

// What the tool tells its migrations apart by; "" where it does not, or has nothing to do with this one.
std::string identity(const Source& source) {
  if (source.tool == Tool::kFlyway) {
    if (source.kind == Kind::kRepeatable) return "R " + source.description;
    std::string key = source.kind == Kind::kUndo ? "U" : source.kind == Kind::kBaseline ? "B" : "V";
    std::vector<std::string_view> parts;
    for (std::string_view rest = source.version; !rest.empty();) parts.push_back(take_part(rest));
    while (!parts.empty() && parts.back().empty()) parts.pop_back();  // 1.0 is 1
    for (const std::string_view part : parts) key += fmt::format(" {}", part.empty() ? "0" : part);
    return key;
  }
  // Liquibase knows a changeset by its file, author and id.
  if (source.tool == Tool::kLiquibase) return fmt::format("L {} {}", source.file, source.version);
  // golang-migrate, goose and dbmate know a migration by its number, in their one folder.
  const bool numbered =
      source.tool == Tool::kPlain || source.tool == Tool::kGoose || source.tool == Tool::kDbmate;
  if (numbered && !source.version.empty())
    return fmt::format("{} {} {}", source.kind == Kind::kUndo ? "D" : "N", without_zeros(source.version),
                       folder_of(source.file));
  return "";
}

}  // namespace

const char* to_string(Tool tool) {
  switch (tool) {
    case Tool::kPlain: return "plain SQL";
    case Tool::kFlyway: return "Flyway";
    case Tool::kLiquibase: return "Liquibase";
    case Tool::kAlembic: return "Alembic";
    case Tool::kDjango: return "Django";
    case Tool::kRails: return "Rails";
    case Tool::kGoose: return "goose";
    case Tool::kDbmate: return "dbmate";
    case Tool::kSqlMigrate: return "sql-migrate";
  }
  return "plain SQL";
}

Result<std::vector<Source>> read_sources(std::string_view text, std::string file,
                                         std::optional<std::string_view> conf) {
  if (is_liquibase(text)) return read_changesets(text, file);
  Source source{.file = file, .sql = std::string(text)};
  if (auto name = flyway_name(file)) {
    source.tool = Tool::kFlyway;
    source.kind = name->kind;
    source.version = std::move(name->version);
    source.description = std::move(name->description);
    std::optional<bool> said;
    if (conf) {
      PL_TRY(said, execute_in_transaction(*conf, file));
    }
    source.in_transaction = said ? *said : !refuses_transactions(text);
  } else if (auto parts = read_up_and_down(text, file)) {
    return *std::move(parts);
  } else if (read_up_or_down_name(file, source)) {
    return std::vector<Source>{std::move(source)};
  } else if (read_alembic(text, source)) {
    source.tool = Tool::kAlembic;
  } else if (read_django(text, source)) {
    source.tool = Tool::kDjango;
  }
  return std::vector<Source>{std::move(source)};
}

std::vector<SameVersion> same_versions(std::span<const Source> sources) {
  std::vector<SameVersion> found;
  std::multimap<std::string, const Source*> seen;
  for (const Source& source : sources) {
    const std::string key = identity(source);
    if (key.empty()) continue;
    const auto [begin, end] = seen.equal_range(key);
    if (begin != end) {
      // The one that stands nearest: most of the time in the same folder.
      const auto folder = folder_of(source.file);
      const auto near =
          std::find_if(begin, end, [&](const auto& one) { return folder_of(one.second->file) == folder; });
      const Source* first = (near == end ? begin : near)->second;
      found.push_back({first, &source, near != end});
    }
    seen.emplace(key, &source);
  }
  return found;
}

int compare_versions(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const std::string_view left = take_part(a);
    const std::string_view right = take_part(b);
    if (left.size() != right.size()) return left.size() < right.size() ? -1 : 1;
    if (const int order = left.compare(right); order != 0) return order;
  }
  return 0;
}

}  // namespace poundlock::migration
