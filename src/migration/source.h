// Migration files as their tools read them: which statements belong together, whether the tool puts a
// transaction around them, which version they are, and where in the file they stand. Flyway is known by the
// file's name, Liquibase's formatted SQL by its first line, goose, dbmate and sql-migrate by the comments
// that begin their parts, the output of Alembic's --sql and Django's sqlmigrate by the comments that they
// write; everything else is plain SQL, of which x.down.sql is the undo of x.up.sql. Sources: the tools' own
// documentation (Flyway's naming and script configuration, Liquibase's formatted SQL). Pure; thread-safe.
// Text is UTF-8 (source_text.h makes it so).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poundlock::migration {

inline constexpr std::size_t kChangesetsMax = 10'000;

enum class Tool { kPlain, kFlyway, kLiquibase, kAlembic, kDjango, kRails, kGoose, kDbmate, kSqlMigrate };
const char* to_string(Tool tool);  // "plain SQL", "Flyway", ...

// kUndo: Flyway's U files, .down.sql, and what stands behind the Down of goose and its like. kRepeatable:
// Flyway's R files, and Liquibase's changesets with runOnChange or runAlways. kBaseline: Flyway's B files.
enum class Kind { kVersioned, kUndo, kRepeatable, kBaseline };

// What a tool runs as one migration.
struct Source {
  std::string file;
  Tool tool = Tool::kPlain;
  Kind kind = Kind::kVersioned;
  std::string
      version;  // Flyway: 2.1 of V2_1__; Liquibase: author:id; Alembic: the revision; where a migration and
                // its undo stand beside each other the number of the file's name; else ""
  std::string description;  // Flyway: "add status" of V1__add_status.sql; else a comment of the tool, or ""
  bool in_transaction =
      false;        // the tool puts its own around it; one that the SQL begins itself is in the SQL
  std::string sql;  // begins at the beginning of a line, and keeps every line of the file
  int line = 1;     // of sql's first byte in the file
};

// What the file NAME.sql says, with the text of NAME.sql.conf where Flyway has one. Never empty for a file
// that is no Liquibase one. Errors (kUser) with their place: "migration.changeset" (a changeset line that
// Liquibase would refuse), "migration.conf", "migration.too_many".
Result<std::vector<Source>> read_sources(std::string_view text, std::string file,
                                         std::optional<std::string_view> conf = std::nullopt);

// Two of them that the tool cannot tell apart: it refuses to run, or runs one of them only.
struct SameVersion {
  const Source* first = nullptr;
  const Source* second = nullptr;  // the one to be renamed; later in the order given
  bool one_folder = false;         // false: a clash only where the tool is given both folders
};
// Versions are compared as the tool does: 1.0 and 01 are Flyway's 1.
std::vector<SameVersion> same_versions(std::span<const Source> sources);

// < 0, 0, > 0: Flyway's order of versions. Parts are numbers of any length.
int compare_versions(std::string_view a, std::string_view b);

}  // namespace poundlock::migration
