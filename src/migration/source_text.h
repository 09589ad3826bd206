// From a file's bytes to SQL that the grammar can read: the encoding is checked, and what is no SQL (psql's
// commands and variables, the data of COPY ... FROM STDIN, placeholders of migration tools) is put aside
// without moving a line or a column of the rest. Pure; thread-safe; takes time and memory of the text's size.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "migration/source.h"

namespace poundlock::migration {

inline constexpr std::size_t kPsqlCommandsMax = 1'000;
inline constexpr std::size_t kPlaceholdersMax = 1'000;

// The text behind a byte order mark. Error (kUser) "migration.encoding": UTF-16, an archive or another binary
// file, a NUL byte, or bytes of an 8-bit encoding, with the place of the first and what converts the file.
Result<std::string_view> utf8_text(std::string_view bytes, const std::string& file);

struct PsqlCommand {
  int line = 1;
  int column = 1;
  std::string text;  // from the backslash to the line's end
};

struct PlainSql {
  std::string sql;  // as many lines as before; each character where it was, but for COPY's data
  std::vector<PsqlCommand> commands;
  std::map<std::string, std::string>
      placeholders;  // pl_schema -> ${schema}: names as long as what they replace
  // The first placeholder, psql variable or COPY's data: what has no meaning without the tool.
  std::optional<PsqlCommand> unresolved;
};

// `tool` kPlain: psql may run it, so that :name, :'name' and :"name" are its variables.
PlainSql plain_sql(std::string_view sql, Tool tool);

// A command that prints, or shapes what psql prints: \echo, \timing, \set ON_ERROR_STOP.
bool only_talks(std::string_view command);

// The SQL of `source` where it means the same without its tool; psql's commands that only talk (\echo,
// \timing, \set ON_ERROR_STOP) are left out. Error (kUser) "migration.psql" with its place in the file: a
// command that includes, connects or sets, a variable or placeholder whose value only the tool knows, or
// COPY's data.
Result<std::string> runnable_sql(const Source& source);

// The placeholders instead of the names that stand for them.
std::string with_placeholders(std::string text, const PlainSql& plain);

}  // namespace poundlock::migration
