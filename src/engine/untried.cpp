#include "engine/untried.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/sql.h"
#include "schema/tree.h"

namespace poundlock::engine {
namespace {

constexpr double kEstimate = 1.1;  // both numbers of rows are estimates

bool wants_rows(const std::string& sql) {
  const auto parsed = schema::parse_statement(sql);
  if (!parsed) return false;
  const PgQuery__Node& node = *parsed->node();
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
    case PG_QUERY__NODE__NODE_MERGE_STMT: return true;
    case PG_QUERY__NODE__NODE_INSERT_STMT: {
      const auto* query = node.insert_stmt->select_stmt;
      return query != nullptr && query->node_case == PG_QUERY__NODE__NODE_SELECT_STMT &&
             query->select_stmt->n_values_lists == 0;
    }
    default: return false;
  }
}

}  // namespace

std::string why_untried(const Trace& trace, const ports::ShadowInfo& shadow) {
  if (trace.error || trace.affected > 0 || !wants_rows(trace.sql)) return {};
  for (const auto& lock : trace.locks) {
    const auto size =
        std::find_if(shadow.tables.begin(), shadow.tables.end(),
                     [&](const ports::TableSize& one) { return one.table.to_sql() == lock.relation; });
    if (size == shadow.tables.end() || size->source_rows <= kEstimate * std::max(0.0, size->shadow_rows))
      continue;
    return fmt::format(
        "it touched no row here, where {} has {:.0f} of {:.0f} rows: nothing of what it does was tried",
        lock.relation, std::max(0.0, size->shadow_rows), size->source_rows);
  }
  return {};
}

}  // namespace poundlock::engine
