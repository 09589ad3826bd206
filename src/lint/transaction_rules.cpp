#include "lint/transaction_rules.h"

#include "lint/context.h"
#include "lint/statement_options.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::StatementKind;
using schema::text_of;

bool is_concurrent(const schema::Statement& statement) {
  const PgQuery__Node* node = statement.node();
  if (const auto* index = as<PgQuery__IndexStmt>(node)) return index->concurrent;
  if (const auto* drop = as<PgQuery__DropStmt>(node)) return drop->concurrent;
  if (const auto* reindex = as<PgQuery__ReindexStmt>(node))
    return has_option(reindex->params, reindex->n_params, "concurrently");
  bool detach = false;
  each_action(statement, [&](const Action& action) {
    const auto* partition = as<PgQuery__PartitionCmd>(action.command.def);
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition && partition != nullptr)
      detach = detach || partition->concurrent;
  });
  return detach;
}

// WITH (create_slot = off)
bool turned_off(PgQuery__Node* const* options, std::size_t count, std::string_view name) {
  const PgQuery__DefElem* option = find_option(options, count, name);
  return option != nullptr && !option_is_on(*option);
}

std::string other_reason(const PgQuery__Node* node) {
  if (const auto* reindex = as<PgQuery__ReindexStmt>(node)) {
    switch (reindex->kind) {
      case PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_SCHEMA: return "REINDEX SCHEMA";
      case PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_SYSTEM: return "REINDEX SYSTEM";
      case PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_DATABASE: return "REINDEX DATABASE";
      default: return "";
    }
  }
  if (const auto* vacuum = as<PgQuery__VacuumStmt>(node)) return vacuum->is_vacuumcmd ? "VACUUM" : "";
  if (const auto* cluster = as<PgQuery__ClusterStmt>(node))
    return cluster->relation == nullptr ? "CLUSTER of every table" : "";
  if (const auto* discard = as<PgQuery__DiscardStmt>(node))
    return discard->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL ? "DISCARD ALL" : "";
  if (const auto* create = as<PgQuery__CreateSubscriptionStmt>(node)) {
    const bool no_slot = turned_off(create->options, create->n_options, "create_slot") ||
                         turned_off(create->options, create->n_options, "connect");
    return no_slot ? "" : "CREATE SUBSCRIPTION with a slot";
  }
  if (const auto* database = as<PgQuery__AlterDatabaseStmt>(node))
    return find_option(database->options, database->n_options, "tablespace") != nullptr
               ? "ALTER DATABASE SET TABLESPACE"
               : "";
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_CREATEDB_STMT: return "CREATE DATABASE";
    case PG_QUERY__NODE__NODE_DROPDB_STMT: return "DROP DATABASE";
    case PG_QUERY__NODE__NODE_CREATE_TABLE_SPACE_STMT: return "CREATE TABLESPACE";
    case PG_QUERY__NODE__NODE_DROP_TABLE_SPACE_STMT: return "DROP TABLESPACE";
    case PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT: return "ALTER SYSTEM";
    default: return "";
  }
}

}  // namespace

NoTransaction needs_no_transaction(const schema::Statement& statement) {
  if (is_concurrent(statement))
    return {std::string(to_string(statement.kind())) + " CONCURRENTLY", true,
            statement.words({"CONCURRENTLY"})};
  const auto* transaction = as<PgQuery__TransactionStmt>(statement.node());
  if (transaction != nullptr) {
    const bool decides = transaction->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED ||
                         transaction->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED;
    if (decides) return {"COMMIT or ROLLBACK PREPARED", false, {0, statement.text().size()}};
    return {};
  }
  std::string what = other_reason(statement.node());
  if (what.empty()) return {};
  return {std::move(what), false, {0, statement.text().size()}};
}

}  // namespace poundlock::lint
