#include "lint/locks.h"

#include <algorithm>
#include <optional>

#include "lint/context.h"
#include "lint/statement_options.h"
#include "lint/types.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::text_of;

constexpr LockMode kAX = LockMode::kAccessExclusive;
constexpr LockMode kSUX = LockMode::kShareUpdateExclusive;
constexpr LockMode kSRX = LockMode::kShareRowExclusive;

LockInfo constraint_lock(const PgQuery__Constraint& constraint) {
  switch (constraint.contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
      return {kSRX, constraint.skip_validation ? Work::kCatalogOnly : Work::kScan, {}};
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
      return {kAX, constraint.skip_validation ? Work::kCatalogOnly : Work::kScan, {}};
    default: return {kAX, text_of(constraint.indexname).empty() ? Work::kIndexBuild : Work::kCatalogOnly, {}};
  }
}

LockInfo add_column_lock(const PgQuery__ColumnDef& column) {
  const ColumnTraits traits = column_traits(column);
  if (traits.rewrites()) return {kAX, Work::kRewrite, {}};
  if (traits.unique) return {kAX, Work::kIndexBuild, {}};
  return {kAX, traits.check ? Work::kScan : Work::kCatalogOnly, {}};
}

QualifiedName first_relation(PgQuery__Node* const* nodes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    if (const auto* relation = as<PgQuery__RangeVar>(nodes[i])) return schema::name_of(*relation);
  return {};
}

LockInfo drop_lock(const PgQuery__DropStmt& drop) {
  QualifiedName name;
  if (const auto* list = drop.n_objects == 0 ? nullptr : as<PgQuery__List>(drop.objects[0]))
    name = schema::name_of(list->items, list->n_items);
  switch (drop.remove_type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX: return {drop.concurrent ? kSUX : kAX, Work::kCatalogOnly, name};
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: return {kAX, Work::kCatalogOnly, name};
    case PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER:
    case PG_QUERY__OBJECT_TYPE__OBJECT_RULE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_POLICY: {
      // The list holds the table's name and then the object's own.
      const auto* list = as<PgQuery__List>(drop.objects[0]);
      if (list != nullptr && list->n_items > 1) name = schema::name_of(list->items, list->n_items - 1);
      return {kAX, Work::kCatalogOnly, name};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA: return {kAX, Work::kCatalogOnly, {}};
    case PG_QUERY__OBJECT_TYPE__OBJECT_STATISTIC_EXT: return {kSUX, Work::kCatalogOnly, {}};
    default: return {};
  }
}

LockInfo create_table_lock(const PgQuery__CreateStmt& create) {
  // The new table is nobody's concern; the parent and the tables that foreign keys refer to are.
  LockInfo strongest;
  const QualifiedName parent = first_relation(create.inh_relations, create.n_inh_relations);
  if (create.partbound != nullptr) return {kAX, Work::kScan, parent};
  if (create.n_inh_relations > 0) strongest = {kSUX, Work::kCatalogOnly, parent};
  schema::walk(&create.base, [&](const schema::Message* message) {
    const auto* constraint = as<PgQuery__Constraint>(message);
    const auto* other = as<PgQuery__RangeVar>(message);  // LIKE
    if (other != nullptr && other != create.relation && strongest.mode == LockMode::kNone)
      strongest = {LockMode::kAccessShare, Work::kCatalogOnly, schema::name_of(*other)};
    if (constraint != nullptr && constraint->pktable != nullptr)
      strongest = {kSRX, Work::kCatalogOnly, schema::name_of(*constraint->pktable)};
    return true;
  });
  return strongest;
}

LockInfo alter_table_lock(const schema::Statement& statement) {
  LockInfo strongest;
  each_action(statement, [&](const Action& action) {
    LockInfo lock = action_lock(action.command);
    lock.relation = action.table;
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition) {
      const auto* partition = as<PgQuery__PartitionCmd>(action.command.def);
      if (partition != nullptr && partition->name != nullptr)
        lock.relation = schema::name_of(*partition->name);
    }
    const Work work = std::max(lock.work, strongest.work);  // the longest work runs under the strongest lock
    if (lock.mode > strongest.mode) strongest = lock;
    strongest.work = work;
  });
  return strongest;
}

LockInfo select_lock(const schema::Statement& statement) {
  LockInfo lock{LockMode::kNone, Work::kCatalogOnly, {}};
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    LockMode mode = LockMode::kNone;
    if (as<PgQuery__RangeVar>(message) != nullptr) mode = LockMode::kAccessShare;
    if (as<PgQuery__LockingClause>(message) != nullptr) mode = LockMode::kRowShare;
    if (as<PgQuery__InsertStmt>(message) != nullptr || as<PgQuery__UpdateStmt>(message) != nullptr ||
        as<PgQuery__DeleteStmt>(message) != nullptr || as<PgQuery__MergeStmt>(message) != nullptr)
      mode = LockMode::kRowExclusive;
    lock.mode = std::max(lock.mode, mode);
    return true;
  });
  return lock;
}

QualifiedName relation_or_none(const PgQuery__RangeVar* relation) {
  return relation == nullptr ? QualifiedName{} : schema::name_of(*relation);
}

LockInfo rename_lock(const PgQuery__RenameStmt& rename) {
  if (rename.relation == nullptr) return {};  // a type, schema or function: no table is locked
  const bool index = rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX;
  return {index ? kSUX : kAX, Work::kCatalogOnly, schema::name_of(*rename.relation)};
}

LockInfo reindex_lock(const PgQuery__ReindexStmt& reindex) {
  const bool concurrent = has_option(reindex.params, reindex.n_params, "concurrently");
  return {concurrent ? kSUX : LockMode::kShare, Work::kIndexBuild, relation_or_none(reindex.relation)};
}

LockInfo vacuum_lock(const PgQuery__VacuumStmt& vacuum) {
  const bool full = vacuum.is_vacuumcmd && has_option(vacuum.options, vacuum.n_options, "full");
  LockInfo lock{full ? kAX : kSUX, full ? Work::kRewrite : Work::kScan, {}};
  schema::walk(&vacuum.base, [&](const schema::Message* message) {
    if (const auto* table = as<PgQuery__RangeVar>(message)) lock.relation = schema::name_of(*table);
    return true;
  });
  return lock;
}

// Statements about one relation that are no ALTER TABLE.
std::optional<LockInfo> maintenance_lock(const PgQuery__Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_REINDEX_STMT: return reindex_lock(*node.reindex_stmt);
    case PG_QUERY__NODE__NODE_VACUUM_STMT: return vacuum_lock(*node.vacuum_stmt);
    case PG_QUERY__NODE__NODE_INDEX_STMT:
      return LockInfo{node.index_stmt->concurrent ? kSUX : LockMode::kShare, Work::kIndexBuild,
                      relation_or_none(node.index_stmt->relation)};
    case PG_QUERY__NODE__NODE_CLUSTER_STMT:
      return LockInfo{kAX, Work::kRewrite, relation_or_none(node.cluster_stmt->relation)};
    case PG_QUERY__NODE__NODE_TRUNCATE_STMT:
      return LockInfo{kAX, Work::kRewrite,
                      first_relation(node.truncate_stmt->relations, node.truncate_stmt->n_relations)};
    case PG_QUERY__NODE__NODE_REFRESH_MAT_VIEW_STMT:
      return LockInfo{node.refresh_mat_view_stmt->concurrent ? LockMode::kExclusive : kAX,
                      node.refresh_mat_view_stmt->concurrent ? Work::kScan : Work::kRewrite,
                      relation_or_none(node.refresh_mat_view_stmt->relation)};
    case PG_QUERY__NODE__NODE_ALTER_SEQ_STMT:  // nextval() waits for it
      return LockInfo{kSRX, Work::kCatalogOnly, relation_or_none(node.alter_seq_stmt->sequence)};
    case PG_QUERY__NODE__NODE_CREATE_TRIG_STMT:
      return LockInfo{kSRX, Work::kCatalogOnly, relation_or_none(node.create_trig_stmt->relation)};
    case PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT:
      if (node.alter_object_schema_stmt->relation == nullptr) return LockInfo{};
      return LockInfo{kAX, Work::kCatalogOnly, schema::name_of(*node.alter_object_schema_stmt->relation)};
    case PG_QUERY__NODE__NODE_ALTER_TABLE_MOVE_ALL_STMT: return LockInfo{kAX, Work::kRewrite, {}};
    case PG_QUERY__NODE__NODE_DROP_OWNED_STMT: return LockInfo{kAX, Work::kCatalogOnly, {}};
    case PG_QUERY__NODE__NODE_RULE_STMT:
      return LockInfo{kAX, Work::kCatalogOnly, relation_or_none(node.rule_stmt->relation)};
    case PG_QUERY__NODE__NODE_CREATE_POLICY_STMT:
      return LockInfo{kAX, Work::kCatalogOnly, relation_or_none(node.create_policy_stmt->table)};
    case PG_QUERY__NODE__NODE_ALTER_POLICY_STMT:
      return LockInfo{kAX, Work::kCatalogOnly, relation_or_none(node.alter_policy_stmt->table)};
    case PG_QUERY__NODE__NODE_LOCK_STMT:
      return LockInfo{static_cast<LockMode>(std::clamp(node.lock_stmt->mode, 0, 8)), Work::kCatalogOnly,
                      first_relation(node.lock_stmt->relations, node.lock_stmt->n_relations)};
    default: return std::nullopt;
  }
}

// Since PostgreSQL 18 the objects are locked while their rights are written.
LockInfo grant_lock(const PgQuery__GrantStmt& grant, int server_version_num) {
  const bool tables = grant.targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_OBJECT &&
                      grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
  if (!tables || server_version_num < 180'000) return {};
  return {LockMode::kAccessShare, Work::kCatalogOnly, first_relation(grant.objects, grant.n_objects)};
}

LockInfo row_lock(const PgQuery__Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_COPY_STMT:
      return {node.copy_stmt->is_from ? LockMode::kRowExclusive : LockMode::kAccessShare, Work::kScan,
              relation_or_none(node.copy_stmt->relation)};
    case PG_QUERY__NODE__NODE_INSERT_STMT:
      return {LockMode::kRowExclusive, Work::kCatalogOnly, relation_or_none(node.insert_stmt->relation)};
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
      return {LockMode::kRowExclusive, Work::kCatalogOnly, relation_or_none(node.update_stmt->relation)};
    case PG_QUERY__NODE__NODE_DELETE_STMT:
      return {LockMode::kRowExclusive, Work::kCatalogOnly, relation_or_none(node.delete_stmt->relation)};
    case PG_QUERY__NODE__NODE_MERGE_STMT:
      return {LockMode::kRowExclusive, Work::kCatalogOnly, relation_or_none(node.merge_stmt->relation)};
    default: return {};
  }
}

}  // namespace

LockInfo action_lock(const PgQuery__AlterTableCmd& command) {
  switch (command.subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn: {
      const auto* column = as<PgQuery__ColumnDef>(command.def);
      return column == nullptr ? LockInfo{kAX, Work::kCatalogOnly, {}} : add_column_lock(*column);
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint: {
      const auto* constraint = as<PgQuery__Constraint>(command.def);
      return constraint == nullptr ? LockInfo{kAX, Work::kScan, {}} : constraint_lock(*constraint);
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull: return {kAX, Work::kScan, {}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint: return {kSUX, Work::kScan, {}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetLogged:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetUnLogged:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetAccessMethod:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetTableSpace: return {kAX, Work::kRewrite, {}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetRelOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetRelOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ClusterOn:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropCluster:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartitionFinalize: return {kSUX, Work::kCatalogOnly, {}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrig:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableAlwaysTrig:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableReplicaTrig:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrigAll:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrigUser:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrig:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigAll:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigUser: return {kSRX, Work::kCatalogOnly, {}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition: return {kAX, Work::kScan, {}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition: {
      const auto* partition = as<PgQuery__PartitionCmd>(command.def);
      return {partition != nullptr && partition->concurrent ? kSUX : kAX, Work::kCatalogOnly, {}};
    }
    default: return {kAX, Work::kCatalogOnly, {}};
  }
}

LockInfo strongest_lock(const schema::Statement& statement, int server_version_num) {
  const PgQuery__Node& node = *statement.node();
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT: return alter_table_lock(statement);
    case PG_QUERY__NODE__NODE_CREATE_STMT: return create_table_lock(*node.create_stmt);
    case PG_QUERY__NODE__NODE_RENAME_STMT: return rename_lock(*node.rename_stmt);
    case PG_QUERY__NODE__NODE_DROP_STMT: return drop_lock(*node.drop_stmt);
    case PG_QUERY__NODE__NODE_VIEW_STMT:
      // The view that is replaced; its tables are only looked at.
      if (node.view_stmt->replace) return {kAX, Work::kCatalogOnly, relation_or_none(node.view_stmt->view)};
      return select_lock(statement);
    case PG_QUERY__NODE__NODE_SELECT_STMT:
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT: return select_lock(statement);
    case PG_QUERY__NODE__NODE_GRANT_STMT: return grant_lock(*node.grant_stmt, server_version_num);
    case PG_QUERY__NODE__NODE_COMMENT_STMT:
    case PG_QUERY__NODE__NODE_CREATE_STATS_STMT:
    case PG_QUERY__NODE__NODE_CREATE_PUBLICATION_STMT:
    case PG_QUERY__NODE__NODE_ALTER_PUBLICATION_STMT: return {kSUX, Work::kCatalogOnly, {}};
    default: break;
  }
  if (const auto lock = maintenance_lock(node)) return *lock;
  return row_lock(node);
}

const char* to_string(LockMode mode) {
  switch (mode) {
    case LockMode::kNone: return "none";
    case LockMode::kAccessShare: return "ACCESS SHARE";
    case LockMode::kRowShare: return "ROW SHARE";
    case LockMode::kRowExclusive: return "ROW EXCLUSIVE";
    case LockMode::kShareUpdateExclusive: return "SHARE UPDATE EXCLUSIVE";
    case LockMode::kShare: return "SHARE";
    case LockMode::kShareRowExclusive: return "SHARE ROW EXCLUSIVE";
    case LockMode::kExclusive: return "EXCLUSIVE";
    case LockMode::kAccessExclusive: return "ACCESS EXCLUSIVE";
  }
  return "none";
}

const char* pg_locks_name(LockMode mode) {
  switch (mode) {
    case LockMode::kNone: return "";
    case LockMode::kAccessShare: return "AccessShareLock";
    case LockMode::kRowShare: return "RowShareLock";
    case LockMode::kRowExclusive: return "RowExclusiveLock";
    case LockMode::kShareUpdateExclusive: return "ShareUpdateExclusiveLock";
    case LockMode::kShare: return "ShareLock";
    case LockMode::kShareRowExclusive: return "ShareRowExclusiveLock";
    case LockMode::kExclusive: return "ExclusiveLock";
    case LockMode::kAccessExclusive: return "AccessExclusiveLock";
  }
  return "";
}

const char* to_string(Work work) {
  switch (work) {
    case Work::kCatalogOnly: return "catalog only";
    case Work::kScan: return "scan";
    case Work::kIndexBuild: return "index build";
    case Work::kRewrite: return "rewrite";
  }
  return "catalog only";
}

}  // namespace poundlock::lint
