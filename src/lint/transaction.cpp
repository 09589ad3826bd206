#include "lint/transaction.h"

#include <algorithm>

#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::StatementKind;
using schema::text_of;

// Is it a limit? 0 and '0ms' mean none.
bool limits(const PgQuery__Node* value) {
  const auto* constant = as<PgQuery__AConst>(value);
  if (constant == nullptr) return true;
  if (constant->val_case == PG_QUERY__A__CONST__VAL_IVAL) return constant->ival->ival != 0;
  if (constant->val_case != PG_QUERY__A__CONST__VAL_SVAL) return true;
  const std::string_view text = text_of(constant->sval->sval);
  return text.find_first_of("123456789") != std::string_view::npos;
}

}  // namespace

ScriptState::ScriptState(const Options& options) : wrapped_(options.in_transaction) {
  const Timeout supplied{.in_force = options.timeouts_supplied || options.timeouts_for_each};
  session_ = current_ = at_begin_ = {supplied, supplied};
}

void ScriptState::fill(Context& context) const {
  context.begun = begun_;
  context.in_transaction = begun_ || wrapped_;
  context.transaction = transaction_;
  context.lock_timeout = current_.lock.in_force;
  context.statement_timeout = current_.statement.in_force;
  context.own_lock_timeout = current_.lock.in_force && current_.lock.own;
  context.own_statement_timeout = current_.statement.in_force && current_.statement.own;
}

void ScriptState::assign(std::string_view name, bool in_force, bool local) {
  for (const auto& [setting, field] :
       {std::pair{std::string_view("lock_timeout"), &Timeouts::lock},
        std::pair{std::string_view("statement_timeout"), &Timeouts::statement}}) {
    if (!schema::equals_ignoring_case(name, setting)) continue;
    // SET LOCAL outside a transaction does nothing but warn.
    if (!local || begun_ || wrapped_) current_.*field = {in_force, true};
    if (!local) session_.*field = {in_force, true};
  }
}

void ScriptState::set(const schema::Statement& statement) {
  const auto* node = as<PgQuery__VariableSetStmt>(statement.node());
  if (node == nullptr) return;
  if (node->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL) {
    assign("lock_timeout", false, false);
    return assign("statement_timeout", false, false);
  }
  const bool value =
      node->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE && node->n_args == 1 && limits(node->args[0]);
  assign(text_of(node->name), value, node->is_local);
}

// SELECT set_config('lock_timeout', '2s', true)
void ScriptState::set_config(const schema::Statement& statement) {
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    const auto* call = as<PgQuery__FuncCall>(message);
    if (call == nullptr || call->n_args != 3) return true;
    if (schema::name_of(call->funcname, call->n_funcname).name != "set_config") return true;
    const auto* name = as<PgQuery__AConst>(call->args[0]);
    const auto* local = as<PgQuery__AConst>(call->args[2]);
    if (name == nullptr || name->val_case != PG_QUERY__A__CONST__VAL_SVAL) return true;
    const bool is_local =
        local == nullptr || local->val_case != PG_QUERY__A__CONST__VAL_BOOLVAL || local->boolval->boolval;
    assign(text_of(name->sval->sval), limits(call->args[1]), is_local);
    return true;
  });
}

void ScriptState::end_transaction(bool rolled_back, bool chained) {
  if (rolled_back) session_ = at_begin_;
  current_ = session_;
  transaction_.clear();
  savepoints_.clear();
  begun_ = chained;  // COMMIT AND CHAIN: the next one is open already
  at_begin_ = session_;
}

void ScriptState::savepoint(const schema::Statement& statement) {
  const auto* node = as<PgQuery__TransactionStmt>(statement.node());
  if (node == nullptr || (!begun_ && !wrapped_)) return;
  const std::string name(text_of(node->savepoint_name));
  if (node->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT) {
    savepoints_.push_back({name, session_, current_});
    return;
  }
  const auto last = std::ranges::find(savepoints_.rbegin(), savepoints_.rend(), name, &Savepoint::name);
  if (last == savepoints_.rend()) return;
  if (node->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO) {
    session_ = last->session;
    current_ = last->current;
    savepoints_.erase(last.base(), savepoints_.end());  // it can be rolled back to again
  } else {
    savepoints_.erase(std::prev(last.base()), savepoints_.end());
  }
}

void ScriptState::after(const schema::Statement& statement) {
  const bool was_open = begun_ || wrapped_;
  if (was_open) transaction_.push_back(&statement);
  switch (statement.kind()) {
    case StatementKind::kBegin:
      if (begun_) return;
      begun_ = true;
      at_begin_ = session_;
      return;
    case StatementKind::kCommit: return end_transaction(false, chains(statement));
    case StatementKind::kRollback: return end_transaction(true, chains(statement));
    case StatementKind::kPreparedTransaction: return end_transaction(false, false);
    case StatementKind::kSavepoint: return savepoint(statement);
    case StatementKind::kDiscard:
      if (statement.node()->discard_stmt->target != PG_QUERY__DISCARD_MODE__DISCARD_ALL) return;
      assign("lock_timeout", false, false);
      return assign("statement_timeout", false, false);
    case StatementKind::kSet:
    case StatementKind::kReset: return set(statement);
    case StatementKind::kSelect: return set_config(statement);
    default: return;
  }
}

}  // namespace poundlock::lint
