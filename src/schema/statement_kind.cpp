#include "schema/statement_kind.h"

#include "schema/tree.h"

namespace poundlock::schema {
namespace {

StatementKind transaction_kind(const PgQuery__TransactionStmt& statement) {
  switch (statement.kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START: return StatementKind::kBegin;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT: return StatementKind::kCommit;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK: return StatementKind::kRollback;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED:
      return StatementKind::kPreparedTransaction;
    default: return StatementKind::kSavepoint;
  }
}

StatementKind set_kind(const PgQuery__VariableSetStmt& statement) {
  const bool reset = statement.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET ||
                     statement.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL;
  return reset ? StatementKind::kReset : StatementKind::kSet;
}

}  // namespace

StatementKind kind_of(const PgQuery__Node* node) {
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
      // SELECT ... INTO makes a table, whatever it begins with.
      if (node->select_stmt->into_clause != nullptr) return StatementKind::kCreateTableAs;
      return StatementKind::kSelect;
    case PG_QUERY__NODE__NODE_INSERT_STMT: return StatementKind::kInsert;
    case PG_QUERY__NODE__NODE_UPDATE_STMT: return StatementKind::kUpdate;
    case PG_QUERY__NODE__NODE_DELETE_STMT: return StatementKind::kDelete;
    case PG_QUERY__NODE__NODE_MERGE_STMT: return StatementKind::kMerge;
    case PG_QUERY__NODE__NODE_COPY_STMT: return StatementKind::kCopy;
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT: return StatementKind::kExplain;
    case PG_QUERY__NODE__NODE_CREATE_STMT:
    case PG_QUERY__NODE__NODE_CREATE_FOREIGN_TABLE_STMT: return StatementKind::kCreateTable;
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT: return StatementKind::kCreateTableAs;
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT: return StatementKind::kAlterTable;
    case PG_QUERY__NODE__NODE_RENAME_STMT: return StatementKind::kRename;
    case PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT: return StatementKind::kSetSchema;
    case PG_QUERY__NODE__NODE_DROP_STMT: return StatementKind::kDrop;
    case PG_QUERY__NODE__NODE_TRUNCATE_STMT: return StatementKind::kTruncate;
    case PG_QUERY__NODE__NODE_INDEX_STMT: return StatementKind::kCreateIndex;
    case PG_QUERY__NODE__NODE_REINDEX_STMT: return StatementKind::kReindex;
    case PG_QUERY__NODE__NODE_CLUSTER_STMT: return StatementKind::kCluster;
    case PG_QUERY__NODE__NODE_VACUUM_STMT:
      return node->vacuum_stmt->is_vacuumcmd ? StatementKind::kVacuum : StatementKind::kAnalyze;
    case PG_QUERY__NODE__NODE_REFRESH_MAT_VIEW_STMT: return StatementKind::kRefreshView;
    case PG_QUERY__NODE__NODE_VIEW_STMT: return StatementKind::kCreateView;
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT: return StatementKind::kCreateFunction;
    case PG_QUERY__NODE__NODE_CREATE_TRIG_STMT: return StatementKind::kCreateTrigger;
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT:
    case PG_QUERY__NODE__NODE_CREATE_RANGE_STMT:
    case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT: return StatementKind::kCreateType;
    case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT:
    case PG_QUERY__NODE__NODE_ALTER_DOMAIN_STMT:
    case PG_QUERY__NODE__NODE_ALTER_TYPE_STMT: return StatementKind::kAlterType;
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT: return StatementKind::kCreateSequence;
    case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT: return StatementKind::kCreateSchema;
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT: return StatementKind::kCreateExtension;
    case PG_QUERY__NODE__NODE_GRANT_STMT:
    case PG_QUERY__NODE__NODE_GRANT_ROLE_STMT: return StatementKind::kGrant;
    case PG_QUERY__NODE__NODE_COMMENT_STMT: return StatementKind::kComment;
    case PG_QUERY__NODE__NODE_LOCK_STMT: return StatementKind::kLock;
    case PG_QUERY__NODE__NODE_DO_STMT: return StatementKind::kDo;
    case PG_QUERY__NODE__NODE_CALL_STMT: return StatementKind::kCall;
    case PG_QUERY__NODE__NODE_PREPARE_STMT: return StatementKind::kPrepare;
    case PG_QUERY__NODE__NODE_EXECUTE_STMT: return StatementKind::kExecute;
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT: return transaction_kind(*node->transaction_stmt);
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT: return set_kind(*node->variable_set_stmt);
    case PG_QUERY__NODE__NODE_DISCARD_STMT: return StatementKind::kDiscard;
    case PG_QUERY__NODE__NODE_CREATEDB_STMT: return StatementKind::kCreateDatabase;
    case PG_QUERY__NODE__NODE_DROPDB_STMT: return StatementKind::kDropDatabase;
    case PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT: return StatementKind::kAlterSystem;
    default: return StatementKind::kOther;
  }
}

const char* to_string(StatementKind kind) {
  switch (kind) {
    case StatementKind::kSelect: return "SELECT";
    case StatementKind::kInsert: return "INSERT";
    case StatementKind::kUpdate: return "UPDATE";
    case StatementKind::kDelete: return "DELETE";
    case StatementKind::kMerge: return "MERGE";
    case StatementKind::kCopy: return "COPY";
    case StatementKind::kExplain: return "EXPLAIN";
    case StatementKind::kCreateTable: return "CREATE TABLE";
    case StatementKind::kCreateTableAs: return "CREATE TABLE AS";
    case StatementKind::kAlterTable: return "ALTER TABLE";
    case StatementKind::kRename: return "RENAME";
    case StatementKind::kSetSchema: return "SET SCHEMA";
    case StatementKind::kDrop: return "DROP";
    case StatementKind::kTruncate: return "TRUNCATE";
    case StatementKind::kCreateIndex: return "CREATE INDEX";
    case StatementKind::kReindex: return "REINDEX";
    case StatementKind::kCluster: return "CLUSTER";
    case StatementKind::kVacuum: return "VACUUM";
    case StatementKind::kAnalyze: return "ANALYZE";
    case StatementKind::kRefreshView: return "REFRESH MATERIALIZED VIEW";
    case StatementKind::kCreateView: return "CREATE VIEW";
    case StatementKind::kCreateFunction: return "CREATE FUNCTION";
    case StatementKind::kCreateTrigger: return "CREATE TRIGGER";
    case StatementKind::kCreateType: return "CREATE TYPE";
    case StatementKind::kAlterType: return "ALTER TYPE";
    case StatementKind::kCreateSequence: return "CREATE SEQUENCE";
    case StatementKind::kCreateSchema: return "CREATE SCHEMA";
    case StatementKind::kCreateExtension: return "CREATE EXTENSION";
    case StatementKind::kGrant: return "GRANT";
    case StatementKind::kComment: return "COMMENT";
    case StatementKind::kLock: return "LOCK";
    case StatementKind::kDo: return "DO";
    case StatementKind::kCall: return "CALL";
    case StatementKind::kPrepare: return "PREPARE";
    case StatementKind::kExecute: return "EXECUTE";
    case StatementKind::kBegin: return "BEGIN";
    case StatementKind::kCommit: return "COMMIT";
    case StatementKind::kRollback: return "ROLLBACK";
    case StatementKind::kSavepoint: return "SAVEPOINT";
    case StatementKind::kPreparedTransaction: return "PREPARED TRANSACTION";
    case StatementKind::kSet: return "SET";
    case StatementKind::kReset: return "RESET";
    case StatementKind::kDiscard: return "DISCARD";
    case StatementKind::kCreateDatabase: return "CREATE DATABASE";
    case StatementKind::kDropDatabase: return "DROP DATABASE";
    case StatementKind::kAlterSystem: return "ALTER SYSTEM";
    case StatementKind::kOther: return "other";
  }
  return "other";
}

}  // namespace poundlock::schema
