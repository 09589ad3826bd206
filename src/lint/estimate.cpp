#include "lint/estimate.h"

#include <fmt/format.h>

#include <algorithm>

#include "lint/locks.h"
#include "lint/partitions.h"
#include "lint/types.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::string bytes_text(double bytes) {
  const char* unit = "B";
  for (const char* next : {"kB", "MB", "GB", "TB"}) {
    if (bytes < 1000) break;
    bytes /= 1000;
    unit = next;
  }
  return fmt::format("{:.{}f} {}", bytes, bytes < 10 ? 1 : 0, unit);
}

std::string count_text(double count) {
  if (count < 1e3) return fmt::format("{:.0f}", count);
  if (count < 1e6) return fmt::format("{:.0f} thousand", count / 1e3);
  return fmt::format("{:.1f} million", count / 1e6);
}

// A validated CHECK (column IS NOT NULL) spares SET NOT NULL its scan.
bool proven_not_null(const schema::Table& table, std::string_view column) {
  return std::ranges::any_of(table.constraints, [&](const schema::Constraint& one) {
    return one.kind == 'c' && one.validated && one.columns.size() == 1 && one.columns[0] == column &&
           one.definition.find("IS NOT NULL") != std::string::npos;
  });
}

// What this action does with the table as it is: locks.h knows the statement alone.
Work action_work(const schema::Table& table, const Action& action) {
  const Work work = action_lock(action.command).work;
  const schema::Column* column = table.column(action.name);
  if (column == nullptr) return work;
  if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull)
    return column->not_null || proven_not_null(table, action.name) ? Work::kCatalogOnly : work;
  if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType) return work;
  const auto* definition = schema::as<PgQuery__ColumnDef>(action.command.def);
  if (definition == nullptr || definition->type_name == nullptr || definition->raw_default != nullptr)
    return work;
  const auto from = type_spec(column->type);
  return from && changes_without_rewrite(*from, type_spec(*definition->type_name)) ? Work::kCatalogOnly
                                                                                   : work;
}

Work work_of(const Context& context, const schema::Table& table, Work whole) {
  Work most = Work::kCatalogOnly;
  bool actions = false;
  each_action(context.statement, [&](const Action& action) {
    actions = true;
    most = std::max(most, action_work(table, action));
  });
  return actions ? most : whole;
}

// DROP INDEX and REINDEX INDEX lock an index; its table tells the size.
const schema::Table* table_of(const schema::Catalog& catalog, const schema::QualifiedName& name) {
  if (const schema::Table* table = catalog.table(name)) return table;
  for (const schema::Table& table : catalog.tables)
    if (same_table({table.schema, name.name}, name) && table.index(name.name) != nullptr) return &table;
  return nullptr;
}

// The parent of the partition that the statement attaches or makes in place; "": it does neither.
schema::QualifiedName parent_of_new(const schema::Statement& statement) {
  if (const auto* create = schema::as<PgQuery__CreateStmt>(statement.node()))
    if (const auto* parent = create->partbound == nullptr || create->n_inh_relations == 0
                                 ? nullptr
                                 : schema::as<PgQuery__RangeVar>(create->inh_relations[0]))
      return schema::name_of(*parent);
  schema::QualifiedName out;
  each_action(statement, [&](const Action& action) {
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition) out = action.table;
  });
  return out;
}

}  // namespace

std::optional<Estimate> estimate(const Context& context) {
  if (context.options.catalog == nullptr) return std::nullopt;
  LockInfo lock = strongest_lock(context.statement);
  const schema::Catalog& catalog = *context.options.catalog;
  if (const auto parent = parent_of_new(context.statement); !parent.name.empty()) {
    // What it reads of the parent's is the default partition; the new one itself, if it is attached.
    const schema::Table* rest = read_default(context, parent);
    if (rest != nullptr) lock.relation = rest->qualified();
    if (rest == nullptr && same_table(lock.relation, parent)) return std::nullopt;
  }
  if (lock.work == Work::kCatalogOnly || lock.relation.name.empty() || context.is_new(lock.relation))
    return std::nullopt;
  const schema::Table* table = table_of(catalog, lock.relation);
  if (table == nullptr) return std::nullopt;
  const auto bytes = static_cast<double>(bytes_of(catalog, *table));
  const double rows = std::max(rows_of(catalog, *table), 0.0);
  if (bytes <= 0 && rows <= 0) return std::nullopt;
  const Work work = work_of(context, *table, lock.work);
  Estimate out;
  switch (work) {
    case Work::kCatalogOnly: return std::nullopt;
    case Work::kScan:
      out.seconds = bytes / kScanBytesPerSecond;
      out.basis = fmt::format("scan of {} at {}/s", bytes_text(bytes), bytes_text(kScanBytesPerSecond));
      break;
    case Work::kIndexBuild:
      out.seconds = rows / kIndexRowsPerSecond + bytes / kScanBytesPerSecond;
      out.basis =
          fmt::format("index over {} rows at {} a second", count_text(rows), count_text(kIndexRowsPerSecond));
      break;
    case Work::kRewrite: {
      // Every index is built anew behind the rows.
      const auto indexes = static_cast<double>(table->indexes.size());
      out.seconds = bytes / kRewriteBytesPerSecond + indexes * rows / kIndexRowsPerSecond;
      out.basis = fmt::format("rewrite of {} at {}/s", bytes_text(bytes), bytes_text(kRewriteBytesPerSecond));
      if (!table->indexes.empty())
        out.basis += fmt::format(" and {} index{} over {} rows at {} a second", table->indexes.size(),
                                 table->indexes.size() == 1 ? "" : "es", count_text(rows),
                                 count_text(kIndexRowsPerSecond));
      break;
    }
  }
  out.basis = fmt::format("estimate: {}, under {} on {}", out.basis, to_string(lock.mode),
                          table->qualified().to_sql());
  return out;
}

}  // namespace poundlock::lint
