// Names that a statement gives and that the catalog has already. The plan of a change that is half done finds
// its own objects there; those of another kind or with other columns are somebody else's, and whoever looks
// for the name later would take them for the step's own.
#include <fmt/format.h>

#include "lint/context.h"
#include "migration/check_text.h"
#include "migration/safe_form.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::text_of;

bool decide(const Turning& turning, const std::string& name) {
  turning.out.decide(turning.statement,
                     fmt::format("there is another {} already: PostgreSQL would refuse this one", name),
                     {"give it another name", "drop the other one first, by a statement of its own"});
  return true;
}

// Is the relation of this name an index of the table with these columns?
bool is_own_index(const Turning& turning, const QualifiedName& table, const std::string& name, bool unique,
                  const std::vector<std::string>& columns) {
  const auto* owner = turning.names.table_of_index({table.schema, name});
  if (owner == nullptr || owner->qualified() != table) return false;
  const auto* index = owner->index(name);
  return index->unique == unique && index->columns == columns;
}

bool index_meets_another(const Turning& turning, const PgQuery__IndexStmt& index) {
  const std::string name(text_of(index.idxname));
  const QualifiedName table = turning.names.resolve(schema::name_of(*index.relation));
  return !name.empty() && !index.if_not_exists && turning.names.book().relation_taken({table.schema, name}) &&
         !is_own_index(turning, table, name, index.unique, key_columns(index)) && decide(turning, name);
}

bool drops_constraint(const schema::Statement& statement, const std::string& name) {
  bool found = false;
  lint::each_action(statement, [&](const lint::Action& action) {
    found = found ||
            (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint && action.name == name);
  });
  return found;
}

char kind_of(const PgQuery__Constraint& constraint) {
  switch (constraint.contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE: return 'u';
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY: return 'p';
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN: return 'f';
    case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION: return 'x';
    default: return 'c';
  }
}

// A CHECK or foreign key of the name is there: of the same words it is the change that is half done.
bool other_words(const Turning& turning, const PgQuery__Constraint& wanted, const schema::Constraint& there) {
  const Alike alike = same_constraint(wanted, there.definition);
  if (alike == Alike::kYes) return false;
  turning.out.decide(turning.statement,
                     fmt::format("there is a constraint {} already, {}: {}", there.name,
                                 alike == Alike::kNo ? "which says something else"
                                                     : "and whether it says the same cannot be told",
                                 there.definition),
                     {"give this one another name", "drop the other one first, by a statement of its own",
                      "leave this one out, where both say the same"});
  return true;
}

bool constraint_meets_another(const Turning& turning, const QualifiedName& table,
                              const PgQuery__Constraint& constraint) {
  const std::string name(text_of(constraint.conname));
  const auto* known = turning.names.table(table);
  if (name.empty() || known == nullptr) return false;
  const char kind = kind_of(constraint);
  const bool indexed = (kind == 'u' || kind == 'p') && text_of(constraint.indexname).empty();
  auto columns = schema::strings(constraint.keys, constraint.n_keys);
  const auto* before = known->constraint(name);
  const bool dropped = before != nullptr && (!turning.names.book().constraint_taken({table.schema, name}) ||
                                             drops_constraint(turning.statement, name));
  // While the new index is built nothing would hold the rows to be unique.
  if (dropped && indexed && (before->kind == 'u' || before->kind == 'p')) {
    turning.out.decide(
        turning.statement,
        fmt::format(
            "{} is dropped before the index of the new one is built, and until then nothing keeps two "
            "rows from being equal",
            name),
        {"build the new one under another name, drop the old one, and rename it"});
    return true;
  }
  if (dropped) return false;
  if (before != nullptr && (before->kind != kind || (indexed && before->columns != columns)))
    return decide(turning, name);
  if (before != nullptr && (kind == 'c' || kind == 'f')) return other_words(turning, constraint, *before);
  if (before != nullptr || !indexed || !turning.names.book().relation_taken({table.schema, name}))
    return false;
  for (auto& one : schema::strings(constraint.including, constraint.n_including)) columns.push_back(one);
  return !is_own_index(turning, table, name, true, columns) && decide(turning, name);
}

}  // namespace

bool meets_another(const Turning& turning) {
  if (turning.names.catalog() == nullptr) return false;
  if (const auto* index = as<PgQuery__IndexStmt>(turning.statement.node()))
    return index_meets_another(turning, *index);
  bool met = false;
  lint::each_action(turning.statement, [&](const lint::Action& action) {
    const auto* constraint = as<PgQuery__Constraint>(action.command.def);
    if (!met && constraint != nullptr &&
        action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint)
      met = constraint_meets_another(turning, turning.names.resolve(action.table), *constraint);
  });
  return met;
}

}  // namespace poundlock::migration
