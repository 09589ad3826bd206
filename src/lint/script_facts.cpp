#include "lint/script_facts.h"

#include <algorithm>
#include <array>

#include "lint/locks.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::text_of;

bool is_utc(const SettingValue& zone) {
  if (zone.source != SettingValue::Source::kScript || zone.words.size() != 1) return false;
  constexpr std::array<std::string_view, 5> kNames{"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu"};
  return std::ranges::any_of(
      kNames, [&](std::string_view name) { return schema::equals_ignoring_case(zone.words.front(), name); });
}

}  // namespace

ScriptFacts::ScriptFacts(const schema::Script& script, const Options& options)
    : undone_(script, options.in_transaction),
      tables_(script, options, undone_),
      names_(script, options, undone_),
      time_zone_("TimeZone", script, options.in_transaction) {
  locked_by_.reserve(script.statements.size());
  for (std::size_t i = 0; i < script.statements.size(); ++i) {
    const schema::Statement& statement = script.statements[i];
    lock(statement, i, options.in_transaction);
    create(statement, i);
    if (statement.kind() == schema::StatementKind::kPrepare) note_star(statement, i);
    alter(statement, i);
  }
  for (const schema::Statement& sent : options.application) note_star(sent, kNever);
}

// SELECT * or RETURNING * of a table, count(*) not among them.
void ScriptFacts::note_star(const schema::Statement& statement, std::size_t index) {
  bool star = false;
  std::vector<schema::QualifiedName> tables;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    star = star || as<PgQuery__AStar>(message) != nullptr;
    if (const auto* relation = as<PgQuery__RangeVar>(message)) tables.push_back(schema::name_of(*relation));
    return true;
  });
  if (!star) return;
  for (schema::QualifiedName& table : tables) {
    std::vector<Reader>& readers = star_readers_[table.name];
    readers.push_back({std::move(table), index, &statement});
  }
}

const schema::Statement* ScriptFacts::star_reader(const schema::QualifiedName& table,
                                                  std::size_t index) const {
  const auto found = star_readers_.find(table.name);
  if (found == star_readers_.end()) return nullptr;
  for (const Reader& reader : found->second)
    if ((reader.at < index || reader.at == kNever) && same_table(reader.table, table))
      return reader.statement;
  return nullptr;
}

void ScriptFacts::add_key(const schema::QualifiedName& table, std::vector<std::string> columns,
                          std::size_t index) {
  if (!columns.empty()) keys_[table.name].push_back({table, std::move(columns), index});
}

void ScriptFacts::alter(const schema::Statement& statement, std::size_t index) {
  each_action(statement, [&](const Action& action) {
    const auto* constraint = as<PgQuery__Constraint>(action.command.def);
    std::vector<Added>& known = added_[action.table.name];
    const auto each_named = [&](auto&& change) {
      for (Added& one : known)
        if (one.name == action.name && is_there(one, index) && same_table(one.table, action.table))
          change(one);
    };
    switch (action.command.subtype) {
      case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint:
        if (constraint == nullptr) return;
        known.push_back({.table = action.table,
                         .constraint = constraint,
                         .name = std::string(text_of(constraint->conname)),
                         .added = index,
                         .validated = constraint->skip_validation ? std::vector<std::size_t>()
                                                                  : std::vector<std::size_t>{index}});
        if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY ||
            constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE)
          add_key(action.table, schema::strings(constraint->keys, constraint->n_keys), index);
        return;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint:
        changes_[action.name].push_back({action.table, index, true});
        return each_named([&](Added& one) { one.validated.push_back(index); });
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint:
        changes_[action.name].push_back({action.table, index, false});
        return each_named([&](Added& one) { one.dropped.push_back(index); });
      default: return;
    }
  });
}

bool ScriptFacts::is_there(const Added& constraint, std::size_t index) const {
  const auto holds = [&](std::size_t place) { return undone_.holds(place, index); };
  return holds(constraint.added) && std::ranges::none_of(constraint.dropped, holds);
}

bool ScriptFacts::proven_at(const Added& constraint, std::size_t index) const {
  return is_there(constraint, index) && std::ranges::any_of(constraint.validated, [&](std::size_t place) {
           return undone_.holds(place, index);
         });
}

bool ScriptFacts::makes_type(const schema::QualifiedName& name, std::size_t index) const {
  const auto found = types_.find(name.name);
  return found != types_.end() &&
         std::ranges::any_of(found->second, [&](std::size_t place) { return undone_.holds(place, index); });
}

void ScriptFacts::create(const schema::Statement& statement, std::size_t index) {
  const PgQuery__Node* node = statement.node();
  if (const auto* table = as<PgQuery__CreateStmt>(node)) {
    const schema::QualifiedName name = schema::name_of(*table->relation);
    for (std::size_t i = 0; i < table->n_table_elts; ++i) {
      const auto* column = as<PgQuery__ColumnDef>(table->table_elts[i]);
      const auto* constraint = as<PgQuery__Constraint>(table->table_elts[i]);
      if (constraint != nullptr) add_key(name, schema::strings(constraint->keys, constraint->n_keys), index);
      for (std::size_t k = 0; column != nullptr && k < column->n_constraints; ++k) {
        const auto* part = as<PgQuery__Constraint>(column->constraints[k]);
        if (part != nullptr && (part->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY ||
                                part->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE))
          add_key(name, {std::string(text_of(column->colname))}, index);
      }
    }
  } else if (const auto* build = as<PgQuery__IndexStmt>(node)) {
    if (build->where_clause != nullptr) return;
    std::vector<std::string> columns;
    for (std::size_t i = 0; i < build->n_index_params; ++i) {
      const auto* element = as<PgQuery__IndexElem>(build->index_params[i]);
      columns.emplace_back(element == nullptr ? "" : text_of(element->name));
    }
    add_key(schema::name_of(*build->relation), std::move(columns), index);
  } else if (const auto* domain = as<PgQuery__CreateDomainStmt>(node)) {
    const std::string name = schema::name_of(domain->domainname, domain->n_domainname).name;
    for (std::size_t i = 0; i < domain->n_constraints; ++i) {
      const auto* part = as<PgQuery__Constraint>(domain->constraints[i]);
      if (part != nullptr && part->contype != PG_QUERY__CONSTR_TYPE__CONSTR_NULL &&
          part->contype != PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT)
        domains_.insert(name);
    }
    types_[name].push_back(index);
  } else if (const auto* enumeration = as<PgQuery__CreateEnumStmt>(node)) {
    types_[schema::name_of(enumeration->type_name, enumeration->n_type_name).name].push_back(index);
  } else if (node->node_case == PG_QUERY__NODE__NODE_CREATE_POLICY_STMT) {
    const schema::QualifiedName guarded = schema::name_of(*node->create_policy_stmt->table);
    policies_[guarded.name].push_back({guarded, index});
  } else if (node->node_case == PG_QUERY__NODE__NODE_CREATE_SEQ_STMT) {
    types_[schema::name_of(*node->create_seq_stmt->sequence).name].push_back(index);
  }
}

void ScriptFacts::lock(const schema::Statement& statement, std::size_t index, bool wrapped) {
  locked_by_.push_back(begun_ || wrapped ? holder_ : kNever);
  switch (statement.kind()) {
    case schema::StatementKind::kBegin: begun_ = true; return;
    case schema::StatementKind::kRollback:
    case schema::StatementKind::kCommit:
    case schema::StatementKind::kPreparedTransaction:
      begun_ = chains(statement);
      holder_ = kNever;
      savepoints_.clear();
      return;
    case schema::StatementKind::kSavepoint: return savepoint(statement, index);
    default: break;
  }
  if ((!begun_ && !wrapped) || holder_ != kNever) return;
  const LockInfo taken = strongest_lock(statement);
  if (!taken.blocks_reads() || taken.relation.name.empty() || makes_table_before(taken.relation, index))
    return;
  holder_ = index;
  locks_[index] = taken.relation;
}

// ROLLBACK TO gives back the locks that were taken since.
void ScriptFacts::savepoint(const schema::Statement& statement, std::size_t index) {
  const auto* node = as<PgQuery__TransactionStmt>(statement.node());
  if (node == nullptr) return;
  const std::string name(text_of(node->savepoint_name));
  if (node->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT) {
    savepoints_.emplace_back(name, index);
    return;
  }
  const auto last = std::ranges::find(savepoints_.rbegin(), savepoints_.rend(), name,
                                      &std::pair<std::string, std::size_t>::first);
  const bool back = node->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO;
  if (last == savepoints_.rend()) return;
  if (back && holder_ != kNever && holder_ > last->second) holder_ = kNever;
  savepoints_.erase(back ? last.base() : std::prev(last.base()), savepoints_.end());
}

std::span<const ScriptFacts::Added> ScriptFacts::added_to(std::string_view table) const {
  const auto found = added_.find(table);
  return found == added_.end() ? std::span<const Added>() : std::span<const Added>(found->second);
}

bool ScriptFacts::has_key(const schema::QualifiedName& table, std::span<const std::string> leading) const {
  const auto found = keys_.find(table.name);
  if (found == keys_.end()) return false;
  return std::ranges::any_of(found->second, [&](const Key& key) {
    // In any order: an index on (b, a) finds the rows of both.
    return same_table(key.table, table) && undone_.holds(key.at, kNever) &&
           key.columns.size() >= leading.size() &&
           std::is_permutation(leading.begin(), leading.end(), key.columns.begin());
  });
}

std::vector<std::size_t> ScriptFacts::policies_on(const schema::QualifiedName& table) const {
  std::vector<std::size_t> places;
  if (const auto found = policies_.find(table.name); found != policies_.end())
    for (const Policy& policy : found->second)
      if (same_table(policy.table, table)) places.push_back(policy.at);
  return places;
}

std::optional<bool> ScriptFacts::changed_before(const schema::QualifiedName& table,
                                                const std::string& constraint, std::size_t index) const {
  std::optional<bool> last;
  if (const auto found = changes_.find(constraint); found != changes_.end())
    for (const Change& change : found->second)
      if (undone_.holds(change.at, index) && same_table(change.table, table)) last = change.validated;
  return last;
}

const schema::QualifiedName* ScriptFacts::locked_before(std::size_t index) const {
  const std::size_t by = locked_by_[index];
  return by == kNever ? nullptr : &locks_.at(by);
}

bool ScriptFacts::utc_at(std::size_t index) const {
  return is_utc(time_zone_.before(index));
}

bool proves_not_null(const PgQuery__Node* condition, std::string_view column) {
  if (const auto* junction = as<PgQuery__BoolExpr>(condition)) {
    if (junction->boolop != PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) return false;
    for (std::size_t i = 0; i < junction->n_args; ++i)
      if (proves_not_null(junction->args[i], column)) return true;
    return false;
  }
  const auto* test = as<PgQuery__NullTest>(condition);
  if (test == nullptr || test->nulltesttype != PG_QUERY__NULL_TEST_TYPE__IS_NOT_NULL) return false;
  const auto* ref = as<PgQuery__ColumnRef>(test->arg);
  return ref != nullptr && schema::strings(ref->fields, ref->n_fields).back() == column;
}

std::vector<const PgQuery__Node*> validated_checks(const Context& context, const schema::QualifiedName& table,
                                                   std::vector<schema::Statement>& parsed) {
  std::vector<const PgQuery__Node*> conditions;
  const std::size_t now = context.index();
  for (const ScriptFacts::Added& added : context.facts->added_to(table.name))
    if (added.constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK &&
        context.facts->proven_at(added, now) && same_table(added.table, table))
      conditions.push_back(added.constraint->raw_expr);
  const schema::Table* known = context.table(table);
  if (known == nullptr) return conditions;
  parsed.reserve(known->constraints.size());
  for (const schema::Constraint& constraint : known->constraints) {
    if (constraint.kind != 'c') continue;
    const bool holds =
        context.facts->changed_before(table, constraint.name, now).value_or(constraint.validated);
    auto statement = schema::parse_statement("ALTER TABLE t ADD " + constraint.definition);
    if (!holds || !statement) continue;
    parsed.push_back(std::move(*statement));
    each_action(parsed.back(), [&](const Action& action) {
      if (const auto* part = as<PgQuery__Constraint>(action.command.def))
        conditions.push_back(part->raw_expr);
    });
  }
  return conditions;
}

std::string free_name(const Context& context, const schema::QualifiedName& table,
                      const std::vector<std::string_view>& parts) {
  const schema::Table* known = context.table(table);
  const auto taken = [&](const std::string& name) {
    const auto added = context.facts->added_to(table.name);
    const bool here = std::ranges::any_of(added, [&](const ScriptFacts::Added& one) {
      return one.name == name && context.facts->is_there(one, context.index());
    });
    return here ||
           (known != nullptr && (known->constraint(name) != nullptr || known->index(name) != nullptr));
  };
  std::string name = schema::derive_name(parts);
  constexpr int kTriesMax = 100;
  for (int number = 2; number < kTriesMax && taken(name); ++number) {
    const std::string digits = std::to_string(number);
    auto numbered = parts;
    numbered.push_back(digits);
    name = schema::derive_name(numbered);
  }
  return name;
}

bool known_not_null(const Context& context, const schema::QualifiedName& table, std::string_view column) {
  const schema::Column* known = context.column(table, column);
  if (known != nullptr && known->not_null) return true;
  std::vector<schema::Statement> parsed;
  return std::ranges::any_of(validated_checks(context, table, parsed), [&](const PgQuery__Node* condition) {
    return proves_not_null(condition, column);
  });
}

}  // namespace poundlock::lint
