// The typed syntax tree (libpg_query's protobuf-c structures) and how to walk it. Only files that read
// trees include this; libprotobuf-c's header gives the types, its functions come with libpg_query.
// A tree is constant after parsing: any number of threads may read it.
#pragma once

#include <pg_query/pg_query.pb-c.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/identifier.h"

namespace poundlock::schema {

using Message = ProtobufCMessage;

template <typename T>
struct NodeType;  // the protobuf descriptor that tells a T from every other message

#define PL_NODE_TYPE(TYPE, FIELD)                                                                      \
  template <>                                                                                          \
  struct NodeType<PgQuery__##TYPE> {                                                                   \
    static const ProtobufCMessageDescriptor* descriptor() { return &pg_query__##FIELD##__descriptor; } \
  };
PL_NODE_TYPE(AConst, a__const)
PL_NODE_TYPE(AExpr, a__expr)
PL_NODE_TYPE(AIndirection, a__indirection)
PL_NODE_TYPE(AlterDatabaseStmt, alter_database_stmt)
PL_NODE_TYPE(AlterDefaultPrivilegesStmt, alter_default_privileges_stmt)
PL_NODE_TYPE(AlterDomainStmt, alter_domain_stmt)
PL_NODE_TYPE(AlterEnumStmt, alter_enum_stmt)
PL_NODE_TYPE(AlterExtensionStmt, alter_extension_stmt)
PL_NODE_TYPE(AlterObjectSchemaStmt, alter_object_schema_stmt)
PL_NODE_TYPE(AlterOwnerStmt, alter_owner_stmt)
PL_NODE_TYPE(AlterSubscriptionStmt, alter_subscription_stmt)
PL_NODE_TYPE(AlterTableCmd, alter_table_cmd)
PL_NODE_TYPE(AlterTableStmt, alter_table_stmt)
PL_NODE_TYPE(AStar, a__star)
PL_NODE_TYPE(Boolean, boolean)
PL_NODE_TYPE(BoolExpr, bool_expr)
PL_NODE_TYPE(ClusterStmt, cluster_stmt)
PL_NODE_TYPE(CollateClause, collate_clause)
PL_NODE_TYPE(ColumnDef, column_def)
PL_NODE_TYPE(ColumnRef, column_ref)
PL_NODE_TYPE(CommonTableExpr, common_table_expr)
PL_NODE_TYPE(Constraint, constraint)
PL_NODE_TYPE(CopyStmt, copy_stmt)
PL_NODE_TYPE(CreateDomainStmt, create_domain_stmt)
PL_NODE_TYPE(CreateEnumStmt, create_enum_stmt)
PL_NODE_TYPE(CreateSchemaStmt, create_schema_stmt)
PL_NODE_TYPE(CreateStmt, create_stmt)
PL_NODE_TYPE(CreateSubscriptionStmt, create_subscription_stmt)
PL_NODE_TYPE(CreateTableAsStmt, create_table_as_stmt)
PL_NODE_TYPE(CreateTrigStmt, create_trig_stmt)
PL_NODE_TYPE(DefElem, def_elem)
PL_NODE_TYPE(DeleteStmt, delete_stmt)
PL_NODE_TYPE(DiscardStmt, discard_stmt)
PL_NODE_TYPE(DropdbStmt, dropdb_stmt)
PL_NODE_TYPE(DropStmt, drop_stmt)
PL_NODE_TYPE(DropSubscriptionStmt, drop_subscription_stmt)
PL_NODE_TYPE(Float, float)
PL_NODE_TYPE(FuncCall, func_call)
PL_NODE_TYPE(GrantRoleStmt, grant_role_stmt)
PL_NODE_TYPE(GrantStmt, grant_stmt)
PL_NODE_TYPE(GroupingFunc, grouping_func)
PL_NODE_TYPE(IndexElem, index_elem)
PL_NODE_TYPE(IndexStmt, index_stmt)
PL_NODE_TYPE(InsertStmt, insert_stmt)
PL_NODE_TYPE(Integer, integer)
PL_NODE_TYPE(IntoClause, into_clause)
PL_NODE_TYPE(JoinExpr, join_expr)
PL_NODE_TYPE(List, list)
PL_NODE_TYPE(LockingClause, locking_clause)
PL_NODE_TYPE(LockStmt, lock_stmt)
PL_NODE_TYPE(MergeStmt, merge_stmt)
PL_NODE_TYPE(MergeWhenClause, merge_when_clause)
PL_NODE_TYPE(NullTest, null_test)
PL_NODE_TYPE(OnConflictClause, on_conflict_clause)
PL_NODE_TYPE(ParamRef, param_ref)
PL_NODE_TYPE(PartitionBoundSpec, partition_bound_spec)
PL_NODE_TYPE(PartitionCmd, partition_cmd)
PL_NODE_TYPE(PartitionSpec, partition_spec)
PL_NODE_TYPE(PrepareStmt, prepare_stmt)
PL_NODE_TYPE(RangeFunction, range_function)
PL_NODE_TYPE(RangeSubselect, range_subselect)
PL_NODE_TYPE(RangeTableFunc, range_table_func)
PL_NODE_TYPE(RangeTableSample, range_table_sample)
PL_NODE_TYPE(RangeVar, range_var)
PL_NODE_TYPE(ReassignOwnedStmt, reassign_owned_stmt)
PL_NODE_TYPE(RefreshMatViewStmt, refresh_mat_view_stmt)
PL_NODE_TYPE(ReindexStmt, reindex_stmt)
PL_NODE_TYPE(RenameStmt, rename_stmt)
PL_NODE_TYPE(ReplicaIdentityStmt, replica_identity_stmt)
PL_NODE_TYPE(ResTarget, res_target)
PL_NODE_TYPE(SelectStmt, select_stmt)
PL_NODE_TYPE(SetToDefault, set_to_default)
PL_NODE_TYPE(SortBy, sort_by)
PL_NODE_TYPE(SQLValueFunction, sqlvalue_function)
PL_NODE_TYPE(String, string)
PL_NODE_TYPE(SubLink, sub_link)
PL_NODE_TYPE(TransactionStmt, transaction_stmt)
PL_NODE_TYPE(TruncateStmt, truncate_stmt)
PL_NODE_TYPE(TypeCast, type_cast)
PL_NODE_TYPE(TypeName, type_name)
PL_NODE_TYPE(UpdateStmt, update_stmt)
PL_NODE_TYPE(VacuumStmt, vacuum_stmt)
PL_NODE_TYPE(VariableSetStmt, variable_set_stmt)
PL_NODE_TYPE(ViewStmt, view_stmt)
#undef PL_NODE_TYPE

// The message inside a Node, or nullptr.
const Message* content(const PgQuery__Node* node);

// The message as a T, or nullptr when it is something else (or nothing).
template <typename T>
const T* as(const Message* message) {
  return message != nullptr && message->descriptor == NodeType<T>::descriptor()
             ? reinterpret_cast<const T*>(message)
             : nullptr;
}
template <typename T>
const T* as(const PgQuery__Node* node) {
  return as<T>(content(node));
}

// Calls visit with each message directly below, in the grammar's order; Node wrappers are passed through.
void each_child(const Message* message, const std::function<void(const Message*)>& visit);

// The message and all below it, parents first; where visit answers false its children are left out.
void walk(const Message* message, const std::function<bool(const Message*)>& visit);

// Levels of messages; the parser refuses trees deeper than kTreeDepthMax (sql.h), so that walks are safe.
int depth(const Message* message);

// protobuf-c gives absent strings as "" or nullptr.
inline std::string_view text_of(const char* text) {
  return text == nullptr ? "" : text;
}

QualifiedName name_of(const PgQuery__RangeVar& relation);
// A list of String nodes as text: {"pg_catalog", "varchar"}; other nodes give "".
std::vector<std::string> strings(PgQuery__Node* const* nodes, std::size_t count);
// The last two strings as a name: what a DROP's object list or a function's name holds.
QualifiedName name_of(PgQuery__Node* const* nodes, std::size_t count);

}  // namespace poundlock::schema
