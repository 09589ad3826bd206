#include "schema/references.h"

#include <algorithm>
#include <optional>

#include "schema/tree.h"

namespace poundlock::schema {
namespace {

struct Source {
  std::string alias;                      // what qualifies its columns
  std::optional<QualifiedName> relation;  // none: a subquery, function or WITH query
};

struct Scope {
  const Scope* outer = nullptr;
  std::vector<Source> sources;
  std::vector<std::string> with_names;
  std::vector<std::string> output_names;  // SELECT ... AS name, which ORDER BY sees first
};

class Collector {
 public:
  Collector(const Statement& statement, References& found) : statement_(statement), found_(found) {}

  void visit(const Message* message, const Scope& scope) {
    if (message == nullptr) return;
    if (const auto* node = as<PgQuery__SelectStmt>(message)) return select(*node, scope);
    if (const auto* node = as<PgQuery__InsertStmt>(message)) return insert(*node, scope);
    if (const auto* node = as<PgQuery__UpdateStmt>(message)) return update(*node, scope);
    if (const auto* node = as<PgQuery__DeleteStmt>(message)) return remove(*node, scope);
    if (const auto* node = as<PgQuery__MergeStmt>(message)) return merge(*node, scope);
    if (const auto* node = as<PgQuery__CopyStmt>(message)) return copy(*node, scope);
    if (const auto* node = as<PgQuery__ColumnRef>(message)) return column(*node, scope);
    if (const auto* node = as<PgQuery__AIndirection>(message)) return field_of_row(*node, scope);
    if (const auto* node = as<PgQuery__RangeVar>(message)) return relation(*node, scope, true);
    if (as<PgQuery__LockingClause>(message) != nullptr) return;  // FOR UPDATE OF names aliases
    each_child(message, [&](const Message* child) { visit(child, scope); });
  }
  void visit(const PgQuery__Node* node, const Scope& scope) { visit(content(node), scope); }

 private:
  template <typename Node>
  void visit_all(Node* const* nodes, std::size_t count, const Scope& scope) {
    for (std::size_t i = 0; i < count; ++i) visit(nodes[i], scope);
  }

  // A relation that is no source of columns: DDL, LOCK, GRANT, VACUUM.
  void relation(const PgQuery__RangeVar& node, const Scope& scope, bool written) {
    if (is_with_name(node, scope)) return;
    const RelationUse use{name_of(node), alias_of(node.alias), written};
    if (std::ranges::find(found_.relations, use) == found_.relations.end()) found_.relations.push_back(use);
    found_.writes = found_.writes || written;
  }

  static std::string alias_of(const PgQuery__Alias* alias) {
    return alias == nullptr ? "" : std::string(text_of(alias->aliasname));
  }

  static bool is_with_name(const PgQuery__RangeVar& node, const Scope& scope) {
    if (!text_of(node.schemaname).empty()) return false;
    for (const Scope* s = &scope; s != nullptr; s = s->outer)
      if (std::ranges::find(s->with_names, text_of(node.relname)) != s->with_names.end()) return true;
    return false;
  }

  void with(const PgQuery__WithClause* clause, Scope& scope) {
    if (clause == nullptr) return;
    if (clause->recursive) {
      for (std::size_t i = 0; i < clause->n_ctes; ++i)
        if (const auto* cte = as<PgQuery__CommonTableExpr>(clause->ctes[i]))
          scope.with_names.emplace_back(text_of(cte->ctename));
    }
    for (std::size_t i = 0; i < clause->n_ctes; ++i) {
      const auto* cte = as<PgQuery__CommonTableExpr>(clause->ctes[i]);
      if (cte == nullptr) continue;
      visit(cte->ctequery, scope);
      if (!clause->recursive) scope.with_names.emplace_back(text_of(cte->ctename));
    }
  }

  // Makes what a FROM item names visible to the scope; its own expressions are visited by from_inner().
  void from(const PgQuery__Node* node, Scope& scope) {
    if (const auto* table = as<PgQuery__RangeVar>(node)) return target(*table, scope, false);
    if (const auto* join = as<PgQuery__JoinExpr>(node)) {
      from(join->larg, scope);
      from(join->rarg, scope);
      if (join->alias != nullptr) scope.sources.push_back({alias_of(join->alias), std::nullopt});
      return;
    }
    if (const auto* sample = as<PgQuery__RangeTableSample>(node)) return from(sample->relation, scope);
    const PgQuery__Alias* alias = nullptr;
    if (const auto* query = as<PgQuery__RangeSubselect>(node)) alias = query->alias;
    if (const auto* function = as<PgQuery__RangeFunction>(node)) alias = function->alias;
    if (const auto* xml = as<PgQuery__RangeTableFunc>(node)) alias = xml->alias;
    scope.sources.push_back({alias_of(alias), std::nullopt});
  }

  void from_inner(const PgQuery__Node* node, const Scope& scope) {
    if (as<PgQuery__RangeVar>(node) != nullptr) return;
    if (const auto* join = as<PgQuery__JoinExpr>(node)) {
      from_inner(join->larg, scope);
      from_inner(join->rarg, scope);
      visit(join->quals, scope);
      // USING reads the column of both sides; NATURAL reads whatever columns there are.
      for (const std::string& name : strings(join->using_clause, join->n_using_clause))
        found_.columns.push_back({"", name, false, visible_relations(scope), {}});
      if (join->is_natural) add_star(scope);
      return;
    }
    if (const auto* sample = as<PgQuery__RangeTableSample>(node)) {
      from_inner(sample->relation, scope);
      return visit_all(sample->args, sample->n_args, scope);
    }
    visit(node, scope);
  }

  void from_all(PgQuery__Node* const* nodes, std::size_t count, Scope& scope) {
    for (std::size_t i = 0; i < count; ++i) from(nodes[i], scope);
    for (std::size_t i = 0; i < count; ++i) from_inner(nodes[i], scope);
  }

  // A table whose columns the scope sees.
  void target(const PgQuery__RangeVar& table, Scope& scope, bool written) {
    std::string alias = alias_of(table.alias);
    if (is_with_name(table, scope)) {
      scope.sources.push_back({alias.empty() ? std::string(text_of(table.relname)) : alias, std::nullopt});
      return;
    }
    relation(table, scope, written);
    const QualifiedName name = name_of(table);
    scope.sources.push_back({alias.empty() ? name.name : alias, name});
  }

  void select(const PgQuery__SelectStmt& node, const Scope& outer) {
    Scope scope{&outer, {}, {}, {}};
    with(node.with_clause, scope);
    if (node.larg != nullptr || node.rarg != nullptr) {  // UNION, INTERSECT, EXCEPT
      if (node.larg != nullptr) select(*node.larg, scope);
      if (node.rarg != nullptr) select(*node.rarg, scope);
      visit(node.limit_offset, scope);
      return visit(node.limit_count, scope);  // ORDER BY here names outputs only
    }
    if (node.into_clause != nullptr && node.into_clause->rel != nullptr)
      relation(*node.into_clause->rel, scope, true);
    from_all(node.from_clause, node.n_from_clause, scope);
    for (std::size_t i = 0; i < node.n_target_list; ++i) {
      const auto* item = as<PgQuery__ResTarget>(node.target_list[i]);
      if (item == nullptr || text_of(item->name).empty()) continue;
      scope.output_names.emplace_back(text_of(item->name));
    }
    visit_all(node.distinct_clause, node.n_distinct_clause, scope);
    visit_all(node.target_list, node.n_target_list, scope);
    visit(node.where_clause, scope);
    visit_all(node.group_clause, node.n_group_clause, scope);
    visit(node.having_clause, scope);
    visit_all(node.window_clause, node.n_window_clause, scope);
    visit_all(node.values_lists, node.n_values_lists, scope);
    for (std::size_t i = 0; i < node.n_sort_clause; ++i) sort_by(node.sort_clause[i], scope);
    visit(node.limit_offset, scope);
    visit(node.limit_count, scope);
  }

  void sort_by(const PgQuery__Node* node, const Scope& scope) {
    const auto* sort = as<PgQuery__SortBy>(node);
    const auto* ref = sort == nullptr ? nullptr : as<PgQuery__ColumnRef>(sort->node);
    if (ref != nullptr && ref->n_fields == 1) {
      const std::string name = strings(ref->fields, 1)[0];
      if (std::ranges::find(scope.output_names, name) != scope.output_names.end()) return;
    }
    visit(node, scope);
  }

  // The names on the left of SET, or in an INSERT's list: written columns of the target alone.
  void assignments(PgQuery__Node* const* nodes, std::size_t count, const QualifiedName& into,
                   const Scope& scope) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto* item = as<PgQuery__ResTarget>(nodes[i]);
      if (item == nullptr) continue;
      const ByteRange range = statement_.name_at(static_cast<std::size_t>(std::max(0, item->location)));
      found_.columns.push_back({"", std::string(text_of(item->name)), true, {into}, range});
      visit_all(item->indirection, item->n_indirection, scope);
      visit(item->val, scope);
    }
  }

  void insert(const PgQuery__InsertStmt& node, const Scope& outer) {
    Scope scope{&outer, {}, {}, {}};
    with(node.with_clause, scope);
    visit(node.select_stmt, scope);  // does not see the target
    target(*node.relation, scope, true);
    const QualifiedName into = name_of(*node.relation);
    if (node.n_cols == 0 && node.select_stmt != nullptr) found_.inserts_unlisted.push_back(into);
    assignments(node.cols, node.n_cols, into, scope);
    if (const auto* conflict = node.on_conflict_clause) {
      Scope updating{&scope, {{"excluded", into}}, {}, {}};
      if (conflict->infer != nullptr) {
        for (std::size_t i = 0; i < conflict->infer->n_index_elems; ++i) {
          const auto* element = as<PgQuery__IndexElem>(conflict->infer->index_elems[i]);
          if (element != nullptr && !text_of(element->name).empty())
            found_.columns.push_back({"", std::string(text_of(element->name)), false, {into}, {}});
          visit(conflict->infer->index_elems[i], updating);
        }
        visit(conflict->infer->where_clause, updating);
      }
      assignments(conflict->target_list, conflict->n_target_list, into, updating);
      visit(conflict->where_clause, updating);
    }
    visit_all(node.returning_list, node.n_returning_list, scope);
  }

  void update(const PgQuery__UpdateStmt& node, const Scope& outer) {
    Scope scope{&outer, {}, {}, {}};
    with(node.with_clause, scope);
    target(*node.relation, scope, true);
    from_all(node.from_clause, node.n_from_clause, scope);
    assignments(node.target_list, node.n_target_list, name_of(*node.relation), scope);
    visit(node.where_clause, scope);
    visit_all(node.returning_list, node.n_returning_list, scope);
  }

  void remove(const PgQuery__DeleteStmt& node, const Scope& outer) {
    Scope scope{&outer, {}, {}, {}};
    with(node.with_clause, scope);
    target(*node.relation, scope, true);
    from_all(node.using_clause, node.n_using_clause, scope);
    visit(node.where_clause, scope);
    visit_all(node.returning_list, node.n_returning_list, scope);
  }

  void merge(const PgQuery__MergeStmt& node, const Scope& outer) {
    Scope scope{&outer, {}, {}, {}};
    with(node.with_clause, scope);
    target(*node.relation, scope, true);
    from(node.source_relation, scope);
    from_inner(node.source_relation, scope);
    visit(node.join_condition, scope);
    const QualifiedName into = name_of(*node.relation);
    for (std::size_t i = 0; i < node.n_merge_when_clauses; ++i) {
      const auto* when = as<PgQuery__MergeWhenClause>(node.merge_when_clauses[i]);
      if (when == nullptr) continue;
      visit(when->condition, scope);
      const bool inserts = when->command_type == PG_QUERY__CMD_TYPE__CMD_INSERT;
      if (inserts && when->n_target_list == 0 && when->n_values > 0) found_.inserts_unlisted.push_back(into);
      assignments(when->target_list, when->n_target_list, into, scope);
      visit_all(when->values, when->n_values, scope);
    }
  }

  void copy(const PgQuery__CopyStmt& node, const Scope& outer) {
    if (node.query != nullptr) return visit(node.query, outer);
    Scope scope{&outer, {}, {}, {}};
    if (node.relation == nullptr) return;
    target(*node.relation, scope, node.is_from);
    const QualifiedName table = name_of(*node.relation);
    for (const std::string& name : strings(node.attlist, node.n_attlist))
      found_.columns.push_back({"", name, static_cast<bool>(node.is_from), {table}, {}});
    if (node.n_attlist == 0) (node.is_from ? found_.inserts_unlisted : found_.star).push_back(table);
    if (node.n_attlist > 0 && !node.is_from) found_.copies_out.push_back(table);
    visit(node.where_clause, scope);
  }

  // All relations that a bare column can belong to: those of the innermost scope that has any, and of the
  // scopes around it, since a subquery sees them too.
  static std::vector<QualifiedName> visible_relations(const Scope& scope) {
    std::vector<QualifiedName> names;
    for (const Scope* s = &scope; s != nullptr; s = s->outer)
      for (const Source& source : s->sources)
        if (source.relation && std::ranges::find(names, *source.relation) == names.end())
          names.push_back(*source.relation);
    return names;
  }

  static const Source* source_named(const Scope& scope, std::string_view alias) {
    for (const Scope* s = &scope; s != nullptr; s = s->outer)
      for (const Source& source : s->sources)
        if (source.alias == alias) return &source;
    return nullptr;
  }

  void add_star(const Scope& scope) {
    for (const Source& source : scope.sources)
      if (source.relation) found_.star.push_back(*source.relation);
  }

  void column(const PgQuery__ColumnRef& node, const Scope& scope) {
    const std::vector<std::string> parts = strings(node.fields, node.n_fields);
    if (parts.empty()) return;
    const bool star = as<PgQuery__AStar>(node.fields[node.n_fields - 1]) != nullptr;
    const std::string qualifier = parts.size() > 1 ? parts[parts.size() - 2] : "";
    if (star && qualifier.empty()) return add_star(scope);
    const Source* source = qualifier.empty() ? nullptr : source_named(scope, qualifier);
    if (star) {
      if (source != nullptr && source->relation) found_.star.push_back(*source->relation);
      return;
    }
    const auto begin = static_cast<std::size_t>(std::max(0, node.location));
    ColumnReference reference{qualifier, parts.back(), false, {}, statement_.name_at(begin)};
    if (qualifier.empty()) {
      reference.relations = visible_relations(scope);
      if (const Source* row = source_named(scope, parts.back()); row != nullptr && row->relation)
        found_.whole_row.push_back(*row->relation);
    } else if (source != nullptr) {
      if (source->relation) reference.relations = {*source->relation};
    } else {
      // No table of that name: a.b may be column a's field b, or schema.table.column of an unaliased table.
      reference.relations = visible_relations(scope);
      found_.columns.push_back({"", parts[parts.size() - 2], false, reference.relations, reference.range});
    }
    found_.columns.push_back(std::move(reference));
  }

  // (o).status and (o).* read the row o; anything else is an expression with fields behind it.
  void field_of_row(const PgQuery__AIndirection& node, const Scope& scope) {
    const auto* ref = as<PgQuery__ColumnRef>(node.arg);
    const Source* row =
        ref != nullptr && ref->n_fields == 1 ? source_named(scope, strings(ref->fields, 1)[0]) : nullptr;
    if (row != nullptr && row->relation && node.n_indirection > 0) {
      if (as<PgQuery__AStar>(node.indirection[0]) != nullptr) {
        found_.star.push_back(*row->relation);
        return;
      }
      if (const auto* field = as<PgQuery__String>(node.indirection[0])) {
        const std::string name(text_of(field->sval));
        found_.columns.push_back({row->alias, name, false, {*row->relation}, {}});
        return;
      }
    }
    visit(node.arg, scope);
    visit_all(node.indirection, node.n_indirection, scope);
  }

  const Statement& statement_;
  References& found_;
};

bool same_relation(const QualifiedName& a, const QualifiedName& b) {
  return a.name == b.name && (a.schema.empty() || b.schema.empty() || a.schema == b.schema);
}

bool names(const std::vector<QualifiedName>& relations, const QualifiedName& table) {
  return std::ranges::any_of(relations, [&](const auto& relation) { return same_relation(relation, table); });
}

}  // namespace

References references(const Statement& statement) {
  References found;
  const Scope outermost;
  Collector(statement, found).visit(content(statement.node()), outermost);
  return found;
}

Touch touches(const References& references, const QualifiedName& table, std::string_view column) {
  Touch touch;
  for (const ColumnReference& reference : references.columns) {
    if (reference.column != column || !names(reference.relations, table)) continue;
    (reference.written ? touch.writes : touch.reads) = true;
  }
  touch.all_columns = names(references.star, table) || names(references.whole_row, table) ||
                      names(references.inserts_unlisted, table);
  return touch;
}

bool uses_relation(const References& references, const QualifiedName& table) {
  return std::ranges::any_of(references.relations,
                             [&](const RelationUse& use) { return same_relation(use.name, table); });
}

}  // namespace poundlock::schema
