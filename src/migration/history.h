// What a migration tool keeps of the migrations that it has run, so that one which Poundlock has carried out
// is taken as run. The rows come after the files: a row without its file makes the tool refuse to go on.
// Pure; thread-safe. Sources: Flyway's flyway_schema_history and its checksum (CRC-32 of each line's bytes
// without its end), Alembic's alembic_version, Liquibase's databasechangelog, Rails' schema_migrations.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "migration/write.h"

namespace poundlock::migration {

// As Flyway computes it: a byte order mark and the line ends count nothing.
std::int32_t flyway_checksum(std::string_view text);

// One statement each, for one transaction; all name their table with `schema`. A statement that finds the
// history in a state that it must not be in raises. kUser "plan.history" for formats without a history.
Result<std::vector<std::string>> history_sql(Format format, std::span<const WrittenFile> files,
                                             const WriteOptions& options, std::string_view schema,
                                             std::string_view file);

}  // namespace poundlock::migration
