#include "lint/unknown_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/suggest.h"
#include "lint/script_facts.h"
#include "schema/references.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::text_of;

constexpr std::array<std::string_view, 7> kSystemColumns{"ctid", "xmin",     "xmax", "cmin",
                                                         "cmax", "tableoid", "oid"};

class Columns {
 public:
  Columns(const Context& context, std::vector<Match>& out) : context_(context), out_(out) {}

  // Has none of the tables that the name can mean the column? False where one is not known as a whole.
  bool is_missing(const QualifiedName& table, std::string_view column) const {
    if (column.empty() || std::ranges::find(kSystemColumns, column) != kSystemColumns.end()) return false;
    const ScriptNames& names = context_.facts->names();
    if (names.makes(column, context_.index()) || names.makes(table.name, context_.index())) return false;
    const auto tables = meant(table);
    return !tables.empty() && std::ranges::all_of(tables, [&](const schema::Table* one) {
      return !one->columns.empty() && one->column(column) == nullptr;
    });
  }

  void look(const QualifiedName& table, std::string_view column, schema::ByteRange range,
            bool may_have_run = false) {
    if (!is_missing(table, column)) return;
    std::vector<std::string_view> known;
    for (const schema::Table* one : meant(table))
      for (const schema::Column& has : one->columns) known.push_back(has.name);
    add("column", table, column, known, range, may_have_run);
  }

  void look_for_constraint(const QualifiedName& table, std::string_view name, schema::ByteRange range,
                           bool may_have_run) {
    constexpr int kNotNullsAreConstraints = 180'000;
    const ScriptNames& names = context_.facts->names();
    if (context_.options.catalog->server_version_num >= kNotNullsAreConstraints || name.empty() ||
        names.makes(name, context_.index()) || names.makes(table.name, context_.index()) ||
        names.unnamed_before(context_.index()))
      return;
    std::vector<std::string_view> known;
    const auto tables = meant(table);
    for (const schema::Table* one : tables) {
      if (one->constraint(name) != nullptr || one->trigger(name) != nullptr) return;
      for (const schema::Constraint& has : one->constraints) known.push_back(has.name);
    }
    if (!tables.empty()) add("constraint", table, name, known, range, may_have_run);
  }

 private:
  std::vector<const schema::Table*> meant(const QualifiedName& table) const {
    return context_.facts->names().meant(table);
  }

  void add(const char* what, const QualifiedName& table, std::string_view name,
           const std::vector<std::string_view>& known, schema::ByteRange range, bool may_have_run) {
    const auto again = [&](const Match& match) { return match.range == range && match.subject == name; };
    if (std::ranges::any_of(out_, again)) return;
    const std::string_view near = nearest(name, std::span<const std::string_view>(known));
    out_.push_back(
        {.range = range,
         .detail = fmt::format("{} {} of {}{}{}", what, schema::quote_identifier(name), table_text(table),
                               near.empty() ? "" : "; did you mean " + schema::quote_identifier(near) + "?",
                               may_have_run ? "; or this has run here before" : ""),
         .rewrite = "",
         .lesser = may_have_run,
         .subject = std::string(name)});
  }

  const Context& context_;
  std::vector<Match>& out_;
};

bool names_column(PgQuery__AlterTableType type) {
  switch (type) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStorage:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddIdentity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetIdentity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropIdentity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropExpression: return true;
    default: return false;
  }
}

void in_references(const PgQuery__Constraint& constraint, schema::ByteRange range, Columns& columns) {
  if (constraint.pktable == nullptr) return;
  for (const std::string& name : schema::strings(constraint.pk_attrs, constraint.n_pk_attrs))
    columns.look(schema::name_of(*constraint.pktable), name, range);
}

void in_constraint(const PgQuery__Constraint& constraint, const QualifiedName& table, schema::ByteRange range,
                   Columns& columns) {
  for (const std::string& name : schema::strings(constraint.keys, constraint.n_keys))
    columns.look(table, name, range);
  for (const std::string& name : schema::strings(constraint.fk_attrs, constraint.n_fk_attrs))
    columns.look(table, name, range);
  in_references(constraint, range, columns);
}

void in_actions(const Context& context, Columns& columns) {
  each_action(context.statement, [&](const Action& action) {
    const auto& command = action.command;
    if (command.missing_ok) return;
    const auto type = command.subtype;
    const bool drops = type == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn ||
                       type == PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint;
    if (names_column(type)) columns.look(action.table, action.name, action.range, drops);
    if (type == PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint ||
        type == PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint)
      columns.look_for_constraint(action.table, action.name, action.range, drops);
    if (const auto* constraint = as<PgQuery__Constraint>(command.def))
      in_constraint(*constraint, action.table, action.range, columns);
    // A CHECK's condition sees the table alone.
    if (const auto* constraint = as<PgQuery__Constraint>(command.def))
      schema::walk(schema::content(constraint->raw_expr), [&](const schema::Message* message) {
        const auto* ref = as<PgQuery__ColumnRef>(message);
        if (ref != nullptr && ref->n_fields == 1)
          columns.look(action.table, schema::strings(ref->fields, 1)[0], action.range);
        return true;
      });
  });
}

void in_index(const Context& context, const PgQuery__IndexStmt& build, Columns& columns) {
  const QualifiedName table = schema::name_of(*build.relation);
  const auto place = [&](std::string_view name) {
    const auto from = context.statement.words({"ON"}).end;
    const auto range = context.statement.words({name}, from);
    return range.begin == 0 ? context.statement.words({schema::quote_identifier(name)}, from) : range;
  };
  const auto look = [&](PgQuery__Node* const* elements, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      if (const auto* element = as<PgQuery__IndexElem>(elements[i]))
        columns.look(table, text_of(element->name), place(text_of(element->name)));
  };
  look(build.index_params, build.n_index_params);
  look(build.index_including_params, build.n_index_including_params);
  schema::walk(schema::content(context.statement.node()), [&](const schema::Message* message) {
    const auto* ref = as<PgQuery__ColumnRef>(message);
    if (ref == nullptr || ref->n_fields != 1) return true;
    const auto begin = static_cast<std::size_t>(std::max(0, ref->location));
    columns.look(table, schema::strings(ref->fields, 1)[0], context.statement.name_at(begin));
    return true;
  });
}

// Whether every column of the statement belongs to a table of it: no query, function or list gives others.
bool only_tables(const schema::Message* message, std::set<std::string, std::less<>>& outputs) {
  bool only = true;
  schema::walk(message, [&](const schema::Message* one) {
    if (as<PgQuery__RangeSubselect>(one) != nullptr || as<PgQuery__RangeFunction>(one) != nullptr ||
        as<PgQuery__RangeTableFunc>(one) != nullptr || as<PgQuery__CommonTableExpr>(one) != nullptr)
      only = false;
    if (const auto* join = as<PgQuery__JoinExpr>(one); join != nullptr && join->alias != nullptr)
      only = false;
    if (const auto* table = as<PgQuery__RangeVar>(one); table != nullptr && table->alias != nullptr) {
      outputs.emplace(text_of(table->alias->aliasname));
      only = only && table->alias->n_colnames == 0;
    }
    if (const auto* table = as<PgQuery__RangeVar>(one)) outputs.emplace(text_of(table->relname));
    if (const auto* item = as<PgQuery__ResTarget>(one); item != nullptr && item->val != nullptr)
      outputs.emplace(text_of(item->name));
    return true;
  });
  return only;
}

bool reads_and_writes(schema::StatementKind kind) {
  switch (kind) {
    case schema::StatementKind::kSelect:
    case schema::StatementKind::kInsert:
    case schema::StatementKind::kUpdate:
    case schema::StatementKind::kDelete:
    case schema::StatementKind::kMerge:
    case schema::StatementKind::kCopy:
    case schema::StatementKind::kCreateTableAs:
    case schema::StatementKind::kCreateView:
    case schema::StatementKind::kExplain:
    case schema::StatementKind::kPrepare: return true;
    default: return false;
  }
}

void in_query(const Context& context, Columns& columns) {
  if (!reads_and_writes(context.statement.kind())) return;
  std::set<std::string, std::less<>> outputs;
  const bool only = only_tables(schema::content(context.statement.node()), outputs);
  const auto& functions = context.options.catalog->beyond_pg_catalog;
  for (const auto& reference : schema::references(context.statement).columns) {
    const bool bare = reference.qualifier.empty();
    // a.b of no table a: also given as the column a.
    const bool part = bare && context.statement.slice(reference.range).find('.') != std::string_view::npos;
    if (reference.relations.empty() || part || functions.contains(reference.column)) continue;
    if (!reference.written && (bare || !outputs.contains(reference.qualifier)) &&
        (!only || !bare || outputs.contains(reference.column)))
      continue;
    const auto missing = [&](const QualifiedName& table) {
      return columns.is_missing(table, reference.column);
    };
    if (std::ranges::all_of(reference.relations, missing))
      columns.look(reference.relations.front(), reference.column, reference.range);
  }
}

}  // namespace

void unknown_columns(const Context& context, std::vector<Match>& out) {
  Columns columns(context, out);
  const PgQuery__Node& node = *context.statement.node();
  const schema::ByteRange all{0, context.statement.text().size()};
  in_actions(context, columns);
  if (const auto* rename = as<PgQuery__RenameStmt>(&node); rename != nullptr && rename->relation != nullptr) {
    const QualifiedName table = schema::name_of(*rename->relation);
    // The new name counts as made by this very statement: has the table the column already?
    const schema::Table* known = context.table(table);
    const bool done = known != nullptr && known->column(text_of(rename->newname)) != nullptr;
    if (rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN)
      columns.look(table, text_of(rename->subname), all, done);
    if (rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT)
      columns.look_for_constraint(table, text_of(rename->subname), all, false);
  }
  if (as<PgQuery__CreateStmt>(&node) != nullptr)
    schema::walk(schema::content(&node), [&](const schema::Message* message) {
      if (const auto* constraint = as<PgQuery__Constraint>(message)) in_references(*constraint, all, columns);
      return true;
    });
  if (const auto* build = as<PgQuery__IndexStmt>(&node)) in_index(context, *build, columns);
  if (node.node_case == PG_QUERY__NODE__NODE_COMMENT_STMT &&
      node.comment_stmt->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN) {
    const auto* list = as<PgQuery__List>(node.comment_stmt->object);
    if (list != nullptr && list->n_items >= 2)
      columns.look(schema::name_of(list->items, list->n_items - 1),
                   schema::strings(list->items, list->n_items).back(), all);
  }
  in_query(context, columns);
}

}  // namespace poundlock::lint
