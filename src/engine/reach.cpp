#include "engine/reach.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "engine/reach_words.h"
#include "schema/tree.h"

namespace poundlock::engine {
namespace {

using schema::as;
using schema::text_of;

// Every object of this kind belongs to the cluster, or leads out of it.
std::string shared(PgQuery__ObjectType type) {
  switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE: return "DATABASE";
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROLE: return "ROLE";
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLESPACE: return "TABLESPACE";
    case PG_QUERY__OBJECT_TYPE__OBJECT_SUBSCRIPTION: return "SUBSCRIPTION";
    case PG_QUERY__OBJECT_TYPE__OBJECT_PARAMETER_ACL: return "PARAMETER";
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_SERVER: return "SERVER";
    case PG_QUERY__OBJECT_TYPE__OBJECT_FDW: return "FOREIGN DATA WRAPPER";
    default: return "";
  }
}

std::string of_shared(const char* verb, PgQuery__ObjectType type) {
  const std::string what = shared(type);
  return what.empty() ? "" : fmt::format("{} {}", verb, what);
}

std::string by_object(const PgQuery__Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_GRANT_STMT:
      return of_shared(node.grant_stmt->is_grant ? "GRANT ON" : "REVOKE ON", node.grant_stmt->objtype);
    case PG_QUERY__NODE__NODE_RENAME_STMT: return of_shared("ALTER", node.rename_stmt->rename_type);
    case PG_QUERY__NODE__NODE_ALTER_OWNER_STMT: return of_shared("ALTER", node.alter_owner_stmt->object_type);
    case PG_QUERY__NODE__NODE_COMMENT_STMT: return of_shared("COMMENT ON", node.comment_stmt->objtype);
    case PG_QUERY__NODE__NODE_SEC_LABEL_STMT:
      return of_shared("SECURITY LABEL ON", node.sec_label_stmt->objtype);
    case PG_QUERY__NODE__NODE_DROP_STMT: return of_shared("DROP", node.drop_stmt->remove_type);
    default: return "";
  }
}

std::string by_command(const PgQuery__Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_CREATEDB_STMT: return "CREATE DATABASE";
    case PG_QUERY__NODE__NODE_DROPDB_STMT: return "DROP DATABASE";
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_STMT:
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_REFRESH_COLL_STMT:
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_SET_STMT: return "ALTER DATABASE";
    case PG_QUERY__NODE__NODE_CREATE_ROLE_STMT: return "CREATE ROLE";
    case PG_QUERY__NODE__NODE_ALTER_ROLE_STMT:
    case PG_QUERY__NODE__NODE_ALTER_ROLE_SET_STMT: return "ALTER ROLE";
    case PG_QUERY__NODE__NODE_DROP_ROLE_STMT: return "DROP ROLE";
    case PG_QUERY__NODE__NODE_GRANT_ROLE_STMT:
      return node.grant_role_stmt->is_grant ? "GRANT of a role" : "REVOKE of a role";
    case PG_QUERY__NODE__NODE_CREATE_TABLE_SPACE_STMT: return "CREATE TABLESPACE";
    case PG_QUERY__NODE__NODE_DROP_TABLE_SPACE_STMT: return "DROP TABLESPACE";
    case PG_QUERY__NODE__NODE_ALTER_TABLE_SPACE_OPTIONS_STMT: return "ALTER TABLESPACE";
    case PG_QUERY__NODE__NODE_ALTER_TABLE_MOVE_ALL_STMT: return "SET TABLESPACE";
    case PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT: return "ALTER SYSTEM";
    case PG_QUERY__NODE__NODE_CREATE_SUBSCRIPTION_STMT: return "CREATE SUBSCRIPTION";
    case PG_QUERY__NODE__NODE_ALTER_SUBSCRIPTION_STMT: return "ALTER SUBSCRIPTION";
    case PG_QUERY__NODE__NODE_DROP_SUBSCRIPTION_STMT: return "DROP SUBSCRIPTION";
    case PG_QUERY__NODE__NODE_DROP_OWNED_STMT: return "DROP OWNED";
    case PG_QUERY__NODE__NODE_REASSIGN_OWNED_STMT: return "REASSIGN OWNED";
    case PG_QUERY__NODE__NODE_LOAD_STMT: return "LOAD";
    case PG_QUERY__NODE__NODE_CHECK_POINT_STMT: return "CHECKPOINT";
    case PG_QUERY__NODE__NODE_CREATE_FDW_STMT: return "CREATE FOREIGN DATA WRAPPER";
    case PG_QUERY__NODE__NODE_ALTER_FDW_STMT: return "ALTER FOREIGN DATA WRAPPER";
    case PG_QUERY__NODE__NODE_CREATE_FOREIGN_SERVER_STMT: return "CREATE SERVER";
    case PG_QUERY__NODE__NODE_ALTER_FOREIGN_SERVER_STMT: return "ALTER SERVER";
    case PG_QUERY__NODE__NODE_CREATE_USER_MAPPING_STMT: return "CREATE USER MAPPING";
    case PG_QUERY__NODE__NODE_ALTER_USER_MAPPING_STMT: return "ALTER USER MAPPING";
    case PG_QUERY__NODE__NODE_DROP_USER_MAPPING_STMT: return "DROP USER MAPPING";
    case PG_QUERY__NODE__NODE_CREATE_FOREIGN_TABLE_STMT: return "CREATE FOREIGN TABLE";
    case PG_QUERY__NODE__NODE_IMPORT_FOREIGN_SCHEMA_STMT: return "IMPORT FOREIGN SCHEMA";
    default: return by_object(node);
  }
}

std::string by_option(const schema::Statement& statement) {
  const PgQuery__Node& node = *statement.node();
  if (const auto* copy = as<PgQuery__CopyStmt>(&node)) {
    if (copy->is_program) return "COPY ... PROGRAM";
    if (!text_of(copy->filename).empty()) return "COPY with a file of the server";
  }
  if (node.node_case == PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT) {
    const std::string_view name = text_of(node.create_extension_stmt->extname);
    if (leads_out(name)) return fmt::format("CREATE EXTENSION {}", name);
  }
  // It holds its locks after the session's end, and the copy cannot be dropped.
  if (const auto* transaction = as<PgQuery__TransactionStmt>(&node);
      transaction != nullptr && transaction->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE)
    return "PREPARE TRANSACTION";
  bool moved = false;
  schema::walk(schema::content(&node), [&](const schema::Message* message) {
    const auto* command = as<PgQuery__AlterTableCmd>(message);
    moved = moved || (command != nullptr && command->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_SetTableSpace);
    return !moved;
  });
  return moved ? "SET TABLESPACE" : "";
}

constexpr std::array<std::string_view, 3> kHarmless{"setval", "nextval", "set_config"};

void read_calls(const schema::Statement& statement, Reach& reach) {
  const auto* select = as<PgQuery__SelectStmt>(statement.node());
  const bool calls = select != nullptr && select->n_from_clause == 0;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    const auto* call = as<PgQuery__FuncCall>(message);
    if (call == nullptr) return true;
    const auto name = schema::name_of(call->funcname, call->n_funcname);
    if (calls_beyond(name.name) && reach.beyond.empty()) reach.beyond = name.name + "()";
    const bool ours = name.schema == "pg_catalog" || name.schema == "poundlock";
    if (calls && !ours && std::ranges::find(kHarmless, name.name) == kHarmless.end())
      reach.unseen = "the function " + name.to_sql();
    return true;
  });
}

std::string beyond_in_block(const PgQuery__DoStmt& block) {
  for (std::size_t i = 0; i < block.n_args; ++i) {
    const auto* option = as<PgQuery__DefElem>(block.args[i]);
    const auto* body = option == nullptr ? nullptr : as<PgQuery__String>(option->arg);
    if (body == nullptr || text_of(option->defname) != "as") continue;
    std::string found = words_beyond(text_of(body->sval));
    if (!found.empty()) return found + " in a DO block";
  }
  return "";
}

Error beyond_error(const Reach& reach, const std::string& text) {
  return user_error("dry_run.reach", fmt::format("{} reaches beyond the database: {}", reach.beyond,
                                                 text.substr(0, text.find('\n'))))
      .with_hint(
          "nothing was run: a shadow may share its cluster with production, and its end takes no such "
          "thing back; put it into a file of its own that is not dry-run");
}

Result<Reach> read(const std::string& sql) {
  PL_TRY(const auto statement, schema::parse_statement(sql));
  return reach_of(statement);
}

void note(const Reach& reach, const std::string& where, std::vector<std::string>& notes) {
  if (reach.unseen.empty()) return;
  notes.push_back(
      fmt::format("{}: what {} does outside the database cannot be seen from its text, and would stay", where,
                  reach.unseen));
}

}  // namespace

Reach reach_of(const schema::Statement& statement) {
  Reach reach;
  reach.beyond = by_command(*statement.node());
  if (reach.beyond.empty()) reach.beyond = by_option(statement);
  if (statement.node()->node_case == PG_QUERY__NODE__NODE_DO_STMT)
    reach.beyond = beyond_in_block(*statement.node()->do_stmt);
  if (statement.kind() == schema::StatementKind::kDo) reach.unseen = "a DO block";
  if (statement.kind() == schema::StatementKind::kCall) reach.unseen = "the procedure";
  if (reach.unseen.empty()) read_calls(statement, reach);
  return reach;
}

Result<std::vector<std::string>> within_database(const std::vector<Script>& scripts) {
  std::vector<std::string> notes;
  for (const auto& script : scripts)
    for (const auto& one : script.statements) {
      auto reach = read(one.sql);
      Error error = reach ? beyond_error(*reach, one.sql) : std::move(reach).error();
      if (!reach || !reach->beyond.empty()) {
        error.where = SourcePosition{script.file, one.line, 1};
        return fail(std::move(error));
      }
      note(*reach, fmt::format("{}:{}", script.file, one.line), notes);
    }
  return notes;
}

Result<std::vector<std::string>> within_database(const std::vector<const change::Step*>& steps) {
  std::vector<std::string> notes;
  for (const auto* step : steps) {
    // Their statements are Poundlock's own, with places for a batch's bounds.
    if (step->kind == change::StepKind::kBackfill || step->kind == change::StepKind::kVerify) continue;
    for (const auto& sql : step->sql) {
      PL_TRY(const Reach reach, read(sql));
      if (!reach.beyond.empty()) {
        Error error = beyond_error(reach, sql);
        error.message = step->id + ": " + error.message;
        return fail(std::move(error));
      }
      note(reach, step->id, notes);
    }
  }
  return notes;
}

}  // namespace poundlock::engine
