// Staging against production: the server, its settings, its extensions and the schema of what the change
// touches. The rest is shown by `poundlock parity`, and blocks nothing.
#include <fmt/format.h>

#include <algorithm>

#include "engine/checks.h"

namespace poundlock::engine {
namespace {

// Settings that change what a statement means or how a lock behaves. Sizes and hardware are not drift.
constexpr const char* kSettings =
    "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('server_encoding', 'DateStyle', "
    "'IntervalStyle',"
    " 'TimeZone', 'standard_conforming_strings', 'default_transaction_isolation', 'row_security',"
    " 'session_replication_role', 'default_toast_compression', 'bytea_output', 'lc_collate', 'lc_ctype',"
    " 'transform_null_equals', 'array_nulls', 'default_tablespace', 'wal_level') ORDER BY name";

struct Side {
  schema::Catalog catalog;
  std::vector<std::pair<std::string, std::string>> settings;
};

Result<Side> read_side(const CheckContext& context, ports::Database& database) {
  PL_TRY(auto session, database.connect());
  Side out;
  PL_TRY(out.catalog, context.ports.load_catalog(*session));
  PL_TRY(const auto rows, session->run(kSettings));
  for (const auto& row : rows.rows) out.settings.emplace_back(row[0].value_or(""), row[1].value_or(""));
  return out;
}

// Only the change's tables, the functions of their triggers, and what is not of ours.
void keep_concerned(schema::Catalog& catalog, const std::vector<schema::QualifiedName>& tables) {
  std::erase_if(catalog.tables, [&](const schema::Table& table) {
    return std::find(tables.begin(), tables.end(), table.qualified()) == tables.end();
  });
  catalog.functions.clear();
  catalog.sequences.clear();
}

}  // namespace

Result<CheckResult> check_parity(const CheckContext& context) {
  CheckResult out;
  if (!context.ports.databases.staging) {
    out.detail = "no staging environment is named by `parity:` in poundlock.yaml";
    return out;
  }
  PL_TRY(auto production, read_side(context, *context.ports.databases.primary));
  PL_TRY(auto staging, read_side(context, *context.ports.databases.staging));
  std::vector<std::string> lines;
  if (production.catalog.server_version_num != staging.catalog.server_version_num) {
    lines.push_back(fmt::format("server version {} in production, {} in staging",
                                production.catalog.server_version_num, staging.catalog.server_version_num));
  }
  for (const auto& [name, value] : production.settings) {
    const auto other = std::find_if(staging.settings.begin(), staging.settings.end(),
                                    [&name = name](const auto& one) { return one.first == name; });
    if (other != staging.settings.end() && other->second != value)
      lines.push_back(
          fmt::format("setting {} is {} in production, {} in staging", name, value, other->second));
  }
  const auto tables = tables_of(context.plan);
  keep_concerned(production.catalog, tables);
  keep_concerned(staging.catalog, tables);
  for (auto& line : schema::difference(production.catalog, staging.catalog, {true, {"poundlock"}}))
    lines.push_back(std::move(line));
  out.figures["differences"] = static_cast<double>(lines.size());
  for (std::size_t i = 0; i < lines.size() && i < 10; ++i) out.detail += (i ? "; " : "") + lines[i];
  if (lines.empty()) out.detail = "server, settings, extensions and the tables concerned are alike";
  return out;
}

}  // namespace poundlock::engine
