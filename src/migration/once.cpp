#include "migration/once.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::text_of;

std::string column_of(const PgQuery__ColumnRef& column) {
  const auto parts = schema::strings(column.fields, column.n_fields);
  return parts.empty() ? "" : parts.back();
}

// f(f(x)) is f(x).
bool settles(const PgQuery__Node* value, const std::string& target) {
  static const std::set<std::string_view> functions{"lower", "upper", "initcap", "btrim",
                                                    "ltrim", "rtrim", "round",   "date_trunc"};
  while (const auto* cast = as<PgQuery__TypeCast>(value)) value = cast->arg;
  if (value == nullptr) return false;
  if (as<PgQuery__AConst>(value) != nullptr) return true;
  if (const auto* column = as<PgQuery__ColumnRef>(value)) return column_of(*column) == target;
  const auto all = [&](PgQuery__Node* const* nodes, std::size_t count) {
    return std::all_of(nodes, nodes + count, [&](const auto* one) { return settles(one, target); });
  };
  if (const auto* call = as<PgQuery__FuncCall>(value)) {
    const auto names = schema::strings(call->funcname, call->n_funcname);
    return !names.empty() && functions.contains(names.back()) && all(call->args, call->n_args);
  }
  if (value->node_case == PG_QUERY__NODE__NODE_COALESCE_EXPR)
    return all(value->coalesce_expr->args, value->coalesce_expr->n_args);
  return false;
}

// Of the table that is changed: not EXCLUDED's, and not those of another table.
bool of_own_row(const PgQuery__ColumnRef& column, const PgQuery__RangeVar* table) {
  const auto parts = schema::strings(column.fields, column.n_fields);
  if (parts.size() < 2 || table == nullptr) return true;
  const std::string& owner = parts[parts.size() - 2];
  return owner.empty() ||
         owner == (table->alias == nullptr ? text_of(table->relname) : text_of(table->alias->aliasname));
}

bool updates_once(PgQuery__Node* const* targets, std::size_t count, const PgQuery__RangeVar* table) {
  std::set<std::string> assigned;
  for (std::size_t i = 0; i < count; ++i)
    if (const auto* target = as<PgQuery__ResTarget>(targets[i])) assigned.emplace(text_of(target->name));
  for (std::size_t i = 0; i < count; ++i) {
    const auto* target = as<PgQuery__ResTarget>(targets[i]);
    if (target == nullptr || target->val == nullptr || target->n_indirection > 0) return true;
    bool reads = false;
    schema::walk(schema::content(target->val), [&](const schema::Message* message) {
      const auto* column = as<PgQuery__ColumnRef>(message);
      if (column == nullptr || !of_own_row(*column, table)) return true;
      const std::string name = column_of(*column);
      reads = reads || name.empty() || assigned.contains(name);  // "": t.*
      return !reads;
    });
    if (reads && !settles(target->val, std::string(text_of(target->name)))) return true;
  }
  return false;
}

// WHERE NOT EXISTS (...), EXCEPT: the author has thought of a second run.
bool asks_what_is_there(const PgQuery__Node* query) {
  const auto* select = as<PgQuery__SelectStmt>(query);
  if (select == nullptr) return false;
  if (select->op == PG_QUERY__SET_OPERATION__SETOP_EXCEPT) return true;
  bool asks = false;
  if (select->where_clause != nullptr)
    schema::walk(schema::content(select->where_clause), [&](const schema::Message* message) {
      asks = asks || as<PgQuery__SubLink>(message) != nullptr;
      return !asks;
    });
  return asks;
}

}  // namespace

bool only_once(const schema::Statement& statement) {
  switch (statement.node()->node_case) {
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
    case PG_QUERY__NODE__NODE_MERGE_STMT:
    case PG_QUERY__NODE__NODE_SELECT_STMT: break;
    default: return false;  // a rule's INSERT is no change of rows
  }
  const auto* merge = as<PgQuery__MergeStmt>(statement.node());
  bool once = false;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    if (const auto* update = as<PgQuery__UpdateStmt>(message))
      once = once || updates_once(update->target_list, update->n_target_list, update->relation);
    if (const auto* insert = as<PgQuery__InsertStmt>(message)) {
      const auto* conflict = insert->on_conflict_clause;
      once = once || (conflict == nullptr
                          ? !asks_what_is_there(insert->select_stmt)
                          : updates_once(conflict->target_list, conflict->n_target_list, insert->relation));
    }
    if (merge != nullptr && message->descriptor == &pg_query__merge_when_clause__descriptor) {
      const auto& when = *reinterpret_cast<const PgQuery__MergeWhenClause*>(message);
      once = once || (when.command_type == PG_QUERY__CMD_TYPE__CMD_UPDATE &&
                      updates_once(when.target_list, when.n_target_list, merge->relation));
    }
    return !once;
  });
  return once;
}

bool only_once(std::string_view sql) {
  const auto statement = schema::parse_statement(sql);
  return statement && only_once(*statement);
}

}  // namespace poundlock::migration
