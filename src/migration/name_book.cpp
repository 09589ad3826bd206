#include "migration/name_book.h"

#include <algorithm>
#include <cstdint>

#include "lint/columns.h"
#include "lint/context.h"
#include "migration/names.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::text_of;

constexpr std::size_t kNameBytesMax = 63;

// LIKE brings names where it copies CHECKs, identity columns or indexes (TableLikeOption of parsenodes.h).
bool copies_names(const PgQuery__Node* element) {
  constexpr std::uint32_t kConstraints = 1U << 2U;
  constexpr std::uint32_t kIdentity = 1U << 5U;
  constexpr std::uint32_t kIndexes = 1U << 6U;
  return element == nullptr || element->node_case != PG_QUERY__NODE__NODE_TABLE_LIKE_CLAUSE ||
         (element->table_like_clause->options & (kConstraints | kIdentity | kIndexes)) != 0;
}

// Whole characters only.
std::string_view clipped(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) --bytes;
  return text.substr(0, bytes);
}

// Of "schema"."table"."column" the first two.
QualifiedName table_of_column(std::string_view column) {
  bool quoted = false;
  std::size_t dot = 0;
  for (std::size_t i = 0; i < column.size(); ++i) {
    if (column[i] == '"') quoted = !quoted;
    if (column[i] == '.' && !quoted) dot = i;
  }
  auto name = schema::parse_qualified_name(column.substr(0, dot));
  return name ? *std::move(name) : QualifiedName{};
}

struct Figured {
  std::string name;
  int strength = 0;  // a type's name and "case" give way to whatever stands inside
};

// What a column of this expression would be called.
Figured figure(const PgQuery__Node* node) {
  if (node == nullptr) return {};
  if (const auto* column = as<PgQuery__ColumnRef>(node)) {
    const auto names = schema::strings(column->fields, column->n_fields);
    if (!names.empty() && !names.back().empty()) return {names.back(), 2};
    return {};
  }
  if (const auto* part = as<PgQuery__AIndirection>(node)) {
    for (const auto& name : schema::strings(part->indirection, part->n_indirection))
      if (!name.empty()) return {name, 2};
    return figure(part->arg);
  }
  if (const auto* call = as<PgQuery__FuncCall>(node))
    return {schema::name_of(call->funcname, call->n_funcname).name, 2};
  if (const auto* cast = as<PgQuery__TypeCast>(node)) {
    Figured inner = figure(cast->arg);
    if (inner.strength > 1 || cast->type_name == nullptr) return inner;
    return {schema::name_of(cast->type_name->names, cast->type_name->n_names).name, 1};
  }
  if (const auto* collate = as<PgQuery__CollateClause>(node)) return figure(collate->arg);
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_EXPR:
      return as<PgQuery__AExpr>(node)->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? Figured{"nullif", 2}
                                                                                     : Figured{};
    case PG_QUERY__NODE__NODE_CASE_EXPR: {
      Figured inner = figure(node->case_expr->defresult);
      return inner.strength > 1 ? inner : Figured{"case", 1};
    }
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: return {"coalesce", 2};
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
      return {node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least", 2};
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR: return {"array", 2};
    case PG_QUERY__NODE__NODE_ROW_EXPR: return {"row", 2};
    default: return {};
  }
}

}  // namespace

std::string object_name(std::string_view name1, std::string_view name2, std::string_view label) {
  const std::size_t overhead = (name2.empty() ? 0 : 1) + (label.empty() ? 0 : label.size() + 1);
  std::size_t one = name1.size();
  std::size_t two = name2.size();
  while (one + two + overhead > kNameBytesMax && one + two > 0) (one > two ? one : two) -= 1;
  std::string out(clipped(name1, one));
  if (!name2.empty()) out += "_" + std::string(clipped(name2, two));
  if (!label.empty()) out += "_" + std::string(label);
  return out;
}

std::string joined_columns(const std::vector<std::string>& columns) {
  std::string out;
  for (const auto& column : columns) {
    out += (out.empty() ? "" : "_") + column;
    if (out.size() > kNameBytesMax) break;  // PostgreSQL reads no further, too
  }
  return out;
}

std::vector<std::string> index_columns(const PgQuery__IndexStmt& index) {
  std::vector<std::string> out;
  const auto add = [&](const PgQuery__Node* node) {
    const auto* element = as<PgQuery__IndexElem>(node);
    if (element == nullptr) return;
    std::string name(text_of(element->name));
    if (name.empty()) name = figure(element->expr).name;
    if (name.empty()) name = "expr";
    const std::string first = name;
    for (int n = 1; std::ranges::find(out, name) != out.end(); ++n) {
      const std::string number = std::to_string(n);
      name = std::string(clipped(first, kNameBytesMax - number.size())) + number;
    }
    out.push_back(std::move(name));
  };
  for (std::size_t i = 0; i < index.n_index_params; ++i) add(index.index_params[i]);
  for (std::size_t i = 0; i < index.n_index_including_params; ++i) add(index.index_including_params[i]);
  return out;
}

std::string checked_column(const PgQuery__Constraint& constraint) {
  std::vector<std::string> out;
  schema::walk(schema::content(constraint.raw_expr), [&](const schema::Message* message) {
    const auto* column = as<PgQuery__ColumnRef>(message);
    if (column != nullptr && column->n_fields > 0) {
      const auto names = schema::strings(column->fields, column->n_fields);
      if (!names.empty() && std::ranges::find(out, names.back()) == out.end()) out.push_back(names.back());
    }
    return true;
  });
  return out.size() == 1 ? out.front() : "";
}

NameBook::NameBook(const schema::Catalog* catalog) {
  if (catalog == nullptr) return;
  for (const auto& table : catalog->tables) {
    relations_[{table.schema, table.name}] = {true, {}};
    for (const auto& index : table.indexes)
      relations_[{table.schema, index.name}] = {true, table.qualified()};
    for (const auto& one : table.constraints)
      constraints_[{table.schema, one.name}] = {true, table.qualified()};
    if (table.kind == 'p') partitioned_.insert({table.schema, table.name});
  }
  for (const auto& one : catalog->sequences)
    relations_[{one.schema, one.name}] = {true, table_of_column(one.owned_by)};
  for (const auto& one : catalog->types) {
    types_[{one.schema, one.name}] = {true, {}};
    if (one.kind == 'c') relations_[{one.schema, one.name}] = {true, {}};
  }
}

bool NameBook::taken(const QualifiedName& name, Entries NameBook::*which) const {
  const Entries& entries = this->*which;
  if (const auto found = entries.find({name.schema, name.name}); found != entries.end())
    return found->second.there;
  return below_ != nullptr && below_->taken(name, which);
}

ChosenName NameBook::choose(const QualifiedName& table, std::string_view second, std::string_view label,
                            bool among_relations, bool among_constraints) const {
  constexpr int kTriesMax = 1000;
  ChosenName out{object_name(table.name, second, label), !opaque()};
  for (int number = 1; number < kTriesMax; ++number) {
    const QualifiedName name{table.schema, out.name};
    if (!(among_relations && relation_taken(name)) && !(among_constraints && constraint_taken(name)))
      return out;
    if (vague()) out.sure = false;
    out.name = object_name(table.name, second, std::string(label) + std::to_string(number));
  }
  out.sure = false;
  return out;
}

ChosenName NameBook::relation(const QualifiedName& table, std::string_view second, std::string_view label,
                              bool is_constraint) const {
  return choose(table, second, label, true, is_constraint);
}

ChosenName NameBook::constraint(const QualifiedName& table, std::string_view second,
                                std::string_view label) const {
  return choose(table, second, label, false, true);
}

ChosenName NameBook::index(const PgQuery__IndexStmt& index, const QualifiedName& table) const {
  if (const auto given = text_of(index.idxname); !given.empty()) return {std::string(given), true};
  return relation(table, joined_columns(index_columns(index)), "idx");
}

void NameBook::take(Entries& entries, const QualifiedName& table, const std::string& name) {
  entries[{table.schema, name}] = {true, table};
}

void NameBook::free_relation(const QualifiedName& name) {
  relations_[{name.schema, name.name}] = {false, {}};
}

// With a table go its indexes, constraints and sequences.
void NameBook::free_with(const QualifiedName& table) {
  free_relation(table);
  for (auto* entries : {&relations_, &constraints_})
    for (auto& [key, entry] : *entries)
      if (entry.table == table) entry.there = false;
}

void NameBook::add_constraint(const QualifiedName& table, const PgQuery__Constraint& constraint,
                              const std::string& column) {
  const std::string given(text_of(constraint.conname));
  const auto of = [&](PgQuery__Node* const* nodes, std::size_t count) {
    return count == 0 ? column : joined_columns(schema::strings(nodes, count));
  };
  switch (constraint.contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
      take(constraints_, table,
           given.empty() ? this->constraint(table, checked_column(constraint), "check").name : given);
      return;
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
      take(constraints_, table,
           given.empty()
               ? this->constraint(table, of(constraint.fk_attrs, constraint.n_fk_attrs), "fkey").name
               : given);
      return;
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
    case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION: {
      const bool primary = constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
      const bool unique = constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE;
      const std::string index(text_of(constraint.indexname));
      std::string name = !given.empty() ? given : index;
      if (name.empty()) {
        auto columns = schema::strings(constraint.keys, constraint.n_keys);
        const auto more = schema::strings(constraint.including, constraint.n_including);
        columns.insert(columns.end(), more.begin(), more.end());
        if (columns.empty()) columns.push_back(column);
        if (!primary && !unique) opaque_ = true;  // an exclusion's elements
        name = relation(table, primary ? "" : joined_columns(columns),
                        primary  ? "pkey"
                        : unique ? "key"
                                 : "excl",
                        true)
                   .name;
      }
      if (!index.empty() && index != name) free_relation({table.schema, index});
      take(relations_, table, name);
      take(constraints_, table, name);
      return;
    }
    case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY:
      take(relations_, table, relation(table, column, "seq").name);
      return;
    default: return;
  }
}

void NameBook::add_column(const QualifiedName& table, const PgQuery__ColumnDef& column) {
  const std::string name(text_of(column.colname));
  if (lint::column_traits(column).serial) take(relations_, table, relation(table, name, "seq").name);
  for (std::size_t i = 0; i < column.n_constraints; ++i)
    if (const auto* one = as<PgQuery__Constraint>(column.constraints[i])) add_constraint(table, *one, name);
}

void NameBook::create_table(const schema::Statement& statement, const Names& names) {
  const auto& create = *as<PgQuery__CreateStmt>(statement.node());
  const QualifiedName table = names.resolve_new(schema::name_of(*create.relation));
  if (create.if_not_exists && relation_taken(table)) return;
  relations_[{table.schema, table.name}] = {true, {}};
  if (create.partspec != nullptr) partitioned_.insert({table.schema, table.name});
  // What is inherited or copied brings names along.
  if (create.n_inh_relations > 0) opaque_ = true;
  for (std::size_t i = 0; i < create.n_table_elts; ++i) {
    const auto* element = create.table_elts[i];
    if (const auto* column = as<PgQuery__ColumnDef>(element))
      add_column(table, *column);
    else if (const auto* constraint = as<PgQuery__Constraint>(element))
      add_constraint(table, *constraint, "");
    else if (copies_names(element))
      opaque_ = true;
  }
}

void NameBook::alter_table(const schema::Statement& statement, const Names& names) {
  const auto* alter = as<PgQuery__AlterTableStmt>(statement.node());
  const bool of_index = alter != nullptr && alter->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX;
  lint::each_action(statement, [&](const lint::Action& action) {
    const QualifiedName table = names.resolve(action.table);
    const auto* constraint = as<PgQuery__Constraint>(action.command.def);
    const auto* column = as<PgQuery__ColumnDef>(action.command.def);
    switch (action.command.subtype) {
      case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn:
        if (column != nullptr &&
            !(action.command.missing_ok && names.has_column(table, text_of(column->colname))))
          add_column(table, *column);
        break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint:
        if (constraint != nullptr) add_constraint(table, *constraint, "");
        break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_AddIdentity:
        take(relations_, table, relation(table, action.name, "seq").name);
        break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint:
        constraints_[{table.schema, action.name}] = {false, {}};
        if (relation_taken({table.schema, action.name})) free_relation({table.schema, action.name});
        break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DropIdentity: vague_ = true; break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition: opaque_ = opaque_ || !of_index; break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_AddInherit: opaque_ = true; break;
      default: break;
    }
    const bool brings = action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint ||
                        (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn &&
                         column != nullptr && column->n_constraints > 0);
    if (brings && is_partitioned(table)) opaque_ = true;  // its partitions' indexes have names of their own
  });
}

bool NameBook::is_partitioned(const QualifiedName& table) const {
  return partitioned_.contains({table.schema, table.name}) ||
         (below_ != nullptr && below_->is_partitioned(table));
}

void NameBook::drop(const schema::Statement& statement, const Names& names) {
  const auto& drop = *as<PgQuery__DropStmt>(statement.node());
  if (drop.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE) vague_ = true;
  for (std::size_t i = 0; i < drop.n_objects; ++i) {
    const auto* list = as<PgQuery__List>(drop.objects[i]);
    const QualifiedName written =
        list == nullptr ? QualifiedName{} : schema::name_of(list->items, list->n_items);
    const QualifiedName name = names.resolve(written);
    switch (drop.remove_type) {
      case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
        if (is_partitioned(name)) vague_ = true;
        free_with(name);
        break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
      case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW: free_with(name); break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
      case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: free_relation(names.resolve_index(written)); break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA:
      case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN:
        if (const auto* type = as<PgQuery__TypeName>(drop.objects[i])) {
          const QualifiedName gone = names.resolve_type(schema::name_of(type->names, type->n_names));
          types_[{gone.schema, gone.name}] = {false, {}};
          if (relation_taken(gone)) free_relation(gone);
        }
        break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION:
      case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE: vague_ = true; break;
      default: break;
    }
  }
}

void NameBook::rename(const schema::Statement& statement, const Names& names) {
  const auto& rename = *as<PgQuery__RenameStmt>(statement.node());
  if (rename.relation == nullptr) return;
  const QualifiedName written = schema::name_of(*rename.relation);
  const std::string now(text_of(rename.newname));
  const auto move = [&](Entries& entries, const QualifiedName& from) {
    const auto found = entries.find({from.schema, from.name});
    const QualifiedName table = found == entries.end() ? QualifiedName{} : found->second.table;
    entries[{from.schema, from.name}] = {false, {}};
    entries[{from.schema, now}] = {true, table};
  };
  switch (rename.rename_type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
      vague_ = true;  // what goes with it keeps its names, under a table that is now called otherwise
      move(relations_, names.resolve(written));
      break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW: move(relations_, names.resolve(written)); break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: move(relations_, names.resolve_index(written)); break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX: {
      const QualifiedName index = names.resolve_index(written);
      move(relations_, index);
      if (constraint_taken(index)) move(constraints_, index);
      break;
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT: {
      const QualifiedName was{names.resolve(written).schema, std::string(text_of(rename.subname))};
      move(constraints_, was);
      if (relation_taken(was)) move(relations_, was);
      break;
    }
    default: break;
  }
}

void NameBook::create_other(const schema::Statement& statement, const Names& names) {
  const PgQuery__Node* node = statement.node();
  const auto made = [&](const PgQuery__RangeVar* relation) {
    if (relation == nullptr) return;
    const QualifiedName name = names.resolve_new(schema::name_of(*relation));
    relations_[{name.schema, name.name}] = {true, {}};
  };
  const auto type = [&](const QualifiedName& written) {
    const QualifiedName name = names.resolve_new(written);
    types_[{name.schema, name.name}] = {true, {}};
  };
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_VIEW_STMT: return made(node->view_stmt->view);
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
      return made(node->create_table_as_stmt->into == nullptr ? nullptr
                                                              : node->create_table_as_stmt->into->rel);
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT: return made(node->create_seq_stmt->sequence);
    case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT:
      type(schema::name_of(*node->composite_type_stmt->typevar));
      return made(node->composite_type_stmt->typevar);
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
      return type(schema::name_of(node->create_enum_stmt->type_name, node->create_enum_stmt->n_type_name));
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT:
      return type(
          schema::name_of(node->create_domain_stmt->domainname, node->create_domain_stmt->n_domainname));
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT: {
      const auto& create = *node->create_function_stmt;
      const QualifiedName name = names.resolve_new(schema::name_of(create.funcname, create.n_funcname));
      functions_.insert({name.schema, name.name});
      return;
    }
    case PG_QUERY__NODE__NODE_CREATE_FOREIGN_TABLE_STMT: opaque_ = true; return;
    case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT:
      opaque_ = opaque_ || node->create_schema_stmt->n_schema_elts > 0;
      return;
    // What moves to another schema takes its names along; what code does is not to be read.
    case PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT:
    case PG_QUERY__NODE__NODE_DO_STMT:
    case PG_QUERY__NODE__NODE_CALL_STMT:
    case PG_QUERY__NODE__NODE_IMPORT_FOREIGN_SCHEMA_STMT:
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT:
    case PG_QUERY__NODE__NODE_ALTER_EXTENSION_STMT: opaque_ = true; return;
    default: return;
  }
}

void NameBook::after(const schema::Statement& statement, const Names& names) {
  const PgQuery__Node* node = statement.node();
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_CREATE_STMT: return create_table(statement, names);
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT: return alter_table(statement, names);
    case PG_QUERY__NODE__NODE_DROP_STMT: return drop(statement, names);
    case PG_QUERY__NODE__NODE_RENAME_STMT: return rename(statement, names);
    case PG_QUERY__NODE__NODE_INDEX_STMT: {
      const auto& index = *node->index_stmt;
      const QualifiedName table = names.resolve(schema::name_of(*index.relation));
      take(relations_, table, this->index(index, table).name);
      if (is_partitioned(table) && index.relation->inh) opaque_ = true;
      return;
    }
    default: return create_other(statement, names);
  }
}

}  // namespace poundlock::migration
