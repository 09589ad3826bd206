#include "sim/schema.h"

#include <fmt/format.h>

#include <array>

namespace poundlock::sim {
namespace {

constexpr std::string_view kExclusive = "AccessExclusiveLock";

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// From the first double quote behind `after` to the next space, bracket or the end: "poundlock"."x".
std::string name_after(std::string_view sql, std::string_view after) {
  const auto at = sql.find(after);
  if (at == std::string_view::npos) return {};
  const auto begin = sql.find('"', at + after.size());
  if (begin == std::string_view::npos) return {};
  const auto end = sql.find_first_of(" (;,\n'", begin);
  return std::string(sql.substr(begin, end == std::string_view::npos ? end : end - begin));
}

SimColumn* column_of(SimSchema& schema, const std::string& name) {
  if (name == schema.legacy_name) return &schema.legacy;
  if (name == schema.fresh_name) return &schema.fresh;
  return nullptr;
}

void drop_column(SimSchema& schema, const std::string& name) {
  SimColumn* column = column_of(schema, name);
  if (!column) return;
  *column = {};
  if (column == &schema.fresh) {
    schema.indexes.clear();
    schema.constraints.clear();
  }
}

std::string mode_in(std::string_view sql, const std::string& legacy) {
  constexpr std::string_view kMark = "-- poundlock sync, mode ";
  const auto at = sql.find(kMark);
  if (at == std::string_view::npos) return {};
  const auto begin = at + kMark.size();
  std::string mode(sql.substr(begin, sql.find(',', begin) - begin));
  // A restore exchanges the sides: then the one authority is the new side. The last assignment tells.
  const auto last = sql.rfind("\" := ");
  const auto quote = last == std::string_view::npos ? last : sql.rfind('"', last - 1);
  if (mode == "legacy" && quote != std::string_view::npos &&
      sql.substr(quote + 1, last - quote - 1) == legacy)
    mode = "fresh";
  return mode;
}

DdlResult add_column(SimSchema& schema, std::string_view sql, DdlResult out) {
  SimColumn* column = column_of(schema, quoted_after(sql, " ADD COLUMN "));
  out.understood = column != nullptr;
  if (column && column->exists)
    out.already_exists = true;
  else if (column)
    column->exists = true;
  return out;
}

// ALTER TABLE with the clauses that steps use; several may stand in one statement.
DdlResult alter_table(SimSchema& schema, std::string_view sql, DdlResult out) {
  if (has(sql, " ADD COLUMN ")) return add_column(schema, sql, out);
  if (has(sql, " ADD CONSTRAINT ")) {
    const std::string name = quoted_after(sql, " ADD CONSTRAINT ");
    out.already_exists = schema.constraints.contains(name);
    if (!out.already_exists) schema.constraints[name] = !has(sql, "NOT VALID");
    return out;
  }
  if (has(sql, " VALIDATE CONSTRAINT ")) {
    schema.constraints[quoted_after(sql, " VALIDATE CONSTRAINT ")] = true;
    return out;
  }
  if (has(sql, " DROP COLUMN IF EXISTS ")) {
    drop_column(schema, quoted_after(sql, " DROP COLUMN IF EXISTS "));
    return out;
  }
  bool known = false;
  if (has(sql, " DROP CONSTRAINT IF EXISTS ")) {
    schema.constraints.erase(quoted_after(sql, " DROP CONSTRAINT IF EXISTS "));
    known = true;
  }
  if (SimColumn* column = column_of(schema, quoted_after(sql, " ALTER COLUMN "))) {
    if (has(sql, " DROP NOT NULL")) column->not_null = false;
    if (has(sql, " DROP DEFAULT")) column->has_default = false;
    if (has(sql, " SET NOT NULL")) column->not_null = true;
    if (has(sql, " SET DEFAULT ")) column->has_default = true;
    known = true;
  }
  out.understood = known;
  return out;
}

}  // namespace

std::string SimSchema::sync_mode() const {
  if (triggers.empty() || functions.empty()) return {};
  return functions.begin()->second;
}

std::string SimSchema::text() const {
  const auto show = [](const SimColumn& column) {
    if (!column.exists) return std::string("absent");
    return fmt::format("there{}{}", column.not_null ? " not null" : "", column.has_default ? " default" : "");
  };
  std::string out = fmt::format("legacy {}, new {}", show(legacy), show(fresh));
  for (const auto& [name, valid] : indexes) out += fmt::format(", index {}{}", name, valid ? "" : " INVALID");
  for (const auto& [name, valid] : constraints)
    out += fmt::format(", check {}{}", name, valid ? "" : " NOT VALID");
  for (const auto& [name, mode] : functions) out += fmt::format(", function {} mode {}", name, mode);
  for (const auto& name : triggers) out += ", trigger " + name;
  for (const auto& name : sequences) out += ", sequence " + name;
  return out;
}

std::string quoted_after(std::string_view sql, std::string_view after) {
  const auto at = sql.find(after);
  if (at == std::string_view::npos) return {};
  const auto begin = sql.find('"', at + after.size());
  if (begin == std::string_view::npos) return {};
  const auto end = sql.find('"', begin + 1);
  return std::string(sql.substr(begin + 1, end - begin - 1));
}

DdlResult classify_ddl(std::string_view sql) {
  DdlResult out;
  out.understood = true;
  static constexpr std::array<std::string_view, 10> kNoLock{"DO ",
                                                            "EXPLAIN ",
                                                            "CREATE SEQUENCE IF NOT EXISTS ",
                                                            "COMMENT ON ",
                                                            "GRANT ",
                                                            "CREATE OR REPLACE FUNCTION ",
                                                            "DROP FUNCTION IF EXISTS ",
                                                            "DROP SEQUENCE IF EXISTS ",
                                                            "VACUUM ",
                                                            "DROP INDEX CONCURRENTLY IF EXISTS "};
  for (const auto& word : kNoLock)
    if (sql.starts_with(word)) return out;
  if (sql.starts_with("CREATE INDEX CONCURRENTLY ") || sql.starts_with("CREATE UNIQUE INDEX CONCURRENTLY "))
    return out;
  if (sql.starts_with("CREATE OR REPLACE TRIGGER ")) {
    out.lock = "ShareRowExclusiveLock";
  } else if (sql.starts_with("ALTER TABLE ") && has(sql, " VALIDATE CONSTRAINT ")) {
    out.lock = "ShareUpdateExclusiveLock";
  } else if (sql.starts_with("ALTER TABLE ") || sql.starts_with("DROP TRIGGER IF EXISTS ")) {
    out.lock = kExclusive;
  } else {
    out.understood = false;
  }
  return out;
}

DdlResult apply_ddl(SimSchema& schema, std::string_view sql) {
  DdlResult out = classify_ddl(sql);
  if (!out.understood) return out;
  if (sql.starts_with("ALTER TABLE ")) return alter_table(schema, sql, out);
  if (sql.starts_with("CREATE SEQUENCE IF NOT EXISTS ")) {
    schema.sequences.insert(name_after(sql, "IF NOT EXISTS "));
  } else if (sql.starts_with("CREATE OR REPLACE FUNCTION ")) {
    schema.functions[name_after(sql, "FUNCTION ")] = mode_in(sql, schema.legacy_name);
  } else if (sql.starts_with("CREATE OR REPLACE TRIGGER ")) {
    schema.triggers.insert(name_after(sql, "TRIGGER "));
  } else if (sql.starts_with("DROP TRIGGER IF EXISTS ")) {
    schema.triggers.erase(name_after(sql, "IF EXISTS "));
  } else if (sql.starts_with("DROP FUNCTION IF EXISTS ")) {
    schema.functions.erase(name_after(sql, "IF EXISTS "));
  } else if (sql.starts_with("DROP SEQUENCE IF EXISTS ")) {
    schema.sequences.erase(name_after(sql, "IF EXISTS "));
  } else if (sql.starts_with("DROP INDEX CONCURRENTLY IF EXISTS ")) {
    const std::string name = name_after(sql, "IF EXISTS ");
    schema.indexes.erase(quoted_after("." + name.substr(name.find('.') + 1), "."));
  } else if (has(sql, " INDEX CONCURRENTLY ")) {
    const std::string name = quoted_after(sql, " INDEX CONCURRENTLY ");
    out.already_exists = schema.indexes.contains(name);
    if (!out.already_exists) schema.indexes[name] = true;
  } else if (sql.starts_with("DO ") && has(sql, "EXECUTE") && has(sql, "CREATE OR REPLACE FUNCTION ")) {
    // Only where the function exists.
    if (!schema.functions.empty()) schema.functions.begin()->second = mode_in(sql, schema.legacy_name);
  }
  return out;
}

}  // namespace poundlock::sim
