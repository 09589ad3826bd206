#include "migration/history.h"

#include <fmt/format.h>

#include <algorithm>

#include "migration/source.h"
#include "schema/identifier.h"

namespace poundlock::migration {
namespace {

using schema::force_quote_identifier;
using schema::quote_literal;

std::uint32_t crc_byte(std::uint32_t crc, unsigned char byte) {
  crc ^= byte;
  for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
  return crc;
}

std::string table_of(std::string_view schema, std::string_view table) {
  return force_quote_identifier(schema) + "." + force_quote_identifier(table);
}

Result<std::vector<std::string>> flyway(std::span<const WrittenFile> files, std::string_view schema) {
  const std::string table = table_of(schema, "flyway_schema_history");
  std::vector<std::string> out{fmt::format("LOCK TABLE {} IN EXCLUSIVE MODE", table)};
  for (const auto& file : files) {
    if (!file.name.starts_with('V') || !file.name.ends_with(".sql")) continue;
    PL_TRY(const auto sources, read_sources(file.text, file.name));
    out.push_back(
        fmt::format("INSERT INTO {0} (installed_rank, version, description, type, script, checksum, "
                    "installed_by, execution_time, "
                    "success) SELECT COALESCE(max(installed_rank), 0) + 1, {1}, {2}, 'SQL', {3}, {4}, "
                    "current_user, 0, true FROM "
                    "{0} HAVING NOT COALESCE(bool_or(version = {1}), false)",
                    table, quote_literal(sources.front().version),
                    quote_literal(sources.front().description.substr(0, 200)), quote_literal(file.name),
                    flyway_checksum(file.text)));
  }
  return out;
}

// The revision that a file of ours names in its own words.
std::string revision_of(const WrittenFile& file) {
  return file.name.substr(0, file.name.find('_'));
}

std::vector<std::string> alembic(std::span<const WrittenFile> files, const WriteOptions& options,
                                 std::string_view schema) {
  const std::string table = table_of(schema, "alembic_version");
  const std::string last = quote_literal(revision_of(files.back()));
  std::vector<std::string> out{fmt::format("LOCK TABLE {} IN EXCLUSIVE MODE", table)};
  // Where the history stands elsewhere, its head is not ours to move.
  const std::string wanted = options.after.empty()
                                 ? fmt::format("EXISTS (SELECT FROM {})", table)
                                 : fmt::format("NOT EXISTS (SELECT FROM {} WHERE version_num = {})", table,
                                               quote_literal(options.after));
  out.push_back(
      "DO " + quote_literal(fmt::format("BEGIN IF {} THEN RAISE EXCEPTION 'alembic_version does not stand at "
                                        "the revision that --after names'; END IF; END",
                                        wanted)));
  out.push_back(options.after.empty() ? fmt::format("INSERT INTO {} (version_num) VALUES ({})", table, last)
                                      : fmt::format("UPDATE {} SET version_num = {} WHERE version_num = {}",
                                                    table, last, quote_literal(options.after)));
  return out;
}

std::vector<std::string> rails(std::span<const WrittenFile> files, std::string_view schema) {
  std::vector<std::string> out;
  for (const auto& file : files)
    out.push_back(fmt::format("INSERT INTO {} (version) VALUES ({}) ON CONFLICT DO NOTHING",
                              table_of(schema, "schema_migrations"), quote_literal(file.name.substr(0, 14))));
  return out;
}

// Without a checksum: Liquibase computes it when it next sees the row.
Result<std::vector<std::string>> liquibase(const WrittenFile& written, std::string_view schema,
                                           std::string_view file) {
  PL_TRY(const auto sources, read_sources(written.text, std::string(file)));
  const std::string table = table_of(schema, "databasechangelog");
  std::vector<std::string> out{fmt::format("LOCK TABLE {} IN EXCLUSIVE MODE", table)};
  for (const auto& one : sources) {
    const auto colon = one.version.find(':');
    const std::string author = one.version.substr(0, colon);
    const std::string id = colon == std::string::npos ? "" : one.version.substr(colon + 1);
    out.push_back(
        fmt::format("INSERT INTO {0} (id, author, filename, dateexecuted, orderexecuted, exectype, "
                    "description) SELECT {1}, {2}, "
                    "{3}, now(), COALESCE(max(orderexecuted), 0) + 1, 'MARK_RAN', 'sql' FROM {0} HAVING NOT "
                    "COALESCE(bool_or(id = "
                    "{1} AND author = {2} AND filename = {3}), false)",
                    table, quote_literal(id), quote_literal(author), quote_literal(file)));
  }
  return out;
}

}  // namespace

std::int32_t flyway_checksum(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char c : text)
    if (c != '\n' && c != '\r') crc = crc_byte(crc, static_cast<unsigned char>(c));
  return static_cast<std::int32_t>(~crc);
}

Result<std::vector<std::string>> history_sql(Format format, std::span<const WrittenFile> files,
                                             const WriteOptions& options, std::string_view schema,
                                             std::string_view file) {
  if (files.empty()) return std::vector<std::string>{};
  switch (format) {
    case Format::kFlyway: return flyway(files, schema);
    case Format::kAlembic: return alembic(files, options, schema);
    case Format::kRails: return rails(files, schema);
    case Format::kLiquibase: return liquibase(files.front(), schema, file);
    case Format::kSql:
    case Format::kRollout: break;
  }
  return fail(user_error("plan.history", "plain SQL and rollouts have no tool that keeps a history")
                  .with_hint("--format flyway, liquibase, alembic or rails"));
}

}  // namespace poundlock::migration
