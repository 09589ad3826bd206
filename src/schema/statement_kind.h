// What a statement is, by the command that PostgreSQL would run.
#pragma once

struct PgQuery__Node;

namespace poundlock::schema {

enum class StatementKind {
  kSelect,
  kInsert,
  kUpdate,
  kDelete,
  kMerge,
  kCopy,
  kExplain,
  kCreateTable,
  kCreateTableAs,
  kAlterTable,
  kRename,
  kSetSchema,
  kDrop,
  kTruncate,
  kCreateIndex,
  kReindex,
  kCluster,
  kVacuum,
  kAnalyze,
  kRefreshView,
  kCreateView,
  kCreateFunction,
  kCreateTrigger,
  kCreateType,
  kAlterType,
  kCreateSequence,
  kCreateSchema,
  kCreateExtension,
  kGrant,
  kComment,
  kLock,
  kDo,
  kCall,
  kPrepare,
  kExecute,
  kBegin,
  kCommit,
  kRollback,
  kSavepoint,
  kPreparedTransaction,
  kSet,
  kReset,
  kDiscard,
  kCreateDatabase,
  kDropDatabase,
  kAlterSystem,
  kOther,
};

const char* to_string(StatementKind kind);  // "CREATE INDEX"

StatementKind kind_of(const PgQuery__Node* node);  // never null

}  // namespace poundlock::schema
