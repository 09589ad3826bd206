#include "migration/safe_form.h"

#include <fmt/format.h>

#include "lint/lint.h"
#include "lint/locks.h"
#include "lint/transaction_rules.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::StatementKind;
using schema::text_of;

void as_written(const Turning& turning, bool alone = false) {
  turning.out.add(with_index_name(turning));
  turning.out.pieces.back().rewritten = false;
  turning.out.pieces.back().alone = alone;
}

bool all_new(const PgQuery__DropStmt& drop, const Names& names) {
  for (std::size_t i = 0; i < drop.n_objects; ++i) {
    const auto* list = as<PgQuery__List>(drop.objects[i]);
    if (list == nullptr || !names.is_new(schema::name_of(list->items, list->n_items))) return false;
  }
  return true;
}

// What applications can name, so that they may fail when it is gone.
bool is_readable(PgQuery__ObjectType type) {
  switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION:
    case PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION: return true;
    default: return false;
  }
}

void turn_drop(const Turning& turning, const PgQuery__DropStmt& drop) {
  if (drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) return turn_index(turning);
  if (!is_readable(drop.remove_type) || all_new(drop, turning.names)) return as_written(turning);
  if (drop.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
    return turning.out.decide(
        turning.statement, "CASCADE takes along whatever depends on it, and nobody has listed what that is",
        {"leave CASCADE out: PostgreSQL then lists what depends on it; drop each by its own statement"});
  as_written(turning, true);
  turning.out.pieces.back().phase = change::Phase::kContract;
  turning.out.notes.push_back(
      "what is dropped goes in the contract phase, when the reference gate has found no reader: " +
      turning.statement.text());
}

void turn_rename(const Turning& turning, const PgQuery__RenameStmt& rename) {
  const QualifiedName table =
      rename.relation == nullptr ? QualifiedName{} : schema::name_of(*rename.relation);
  const bool fresh = rename.relation != nullptr && turning.names.is_new(table);
  const std::string was(text_of(rename.subname));
  const std::string now(text_of(rename.newname));
  if (!fresh && rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN) {
    const auto* known = turning.names.column(table, was);
    return turning.out.decide(
        turning.statement,
        fmt::format(
            "every statement that names {} fails in the moment of the rename, until each instance runs code "
            "with the new name",
            schema::quote_identifier(was)),
        {"a rollout of change_column: both names work until nobody uses the old one",
         "keep the column's name, and give the new one in a view"},
        propose_rollout({.table = table,
                         .from = was,
                         .to = now,
                         .type = known == nullptr ? "OLD_TYPE" : known->type,
                         .default_expr = known != nullptr && known->default_expr ? *known->default_expr : "",
                         .up = schema::quote_identifier(was),
                         .down = schema::quote_identifier(now)}));
  }
  const bool names_it = rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE ||
                        rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_VIEW ||
                        rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW ||
                        rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA ||
                        rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE ||
                        rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE ||
                        rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION;
  if (fresh || !names_it) return as_written(turning);
  turning.out.decide(turning.statement, "every statement that names it fails in the moment of the rename",
                     {"rename it and make a view of the old name in the same transaction, drop the view when "
                      "nobody reads it",
                      "keep the name"});
}

void turn_vacuum(const Turning& turning, const PgQuery__VacuumStmt& vacuum) {
  const lint::LockInfo lock = lint::strongest_lock(turning.statement);
  if (lock.mode != lint::LockMode::kAccessExclusive) return as_written(turning, true);
  std::string tables;
  for (std::size_t i = 0; i < vacuum.n_rels; ++i) {
    const auto* content = schema::content(vacuum.rels[i]);
    schema::walk(content, [&](const schema::Message* message) {
      if (const auto* table = as<PgQuery__RangeVar>(message))
        tables += (tables.empty() ? " " : ", ") + schema::name_of(*table).to_sql();
      return true;
    });
  }
  turning.out.add("VACUUM (ANALYZE, TRUNCATE false)" + tables, "vacuum and analyze, while everybody works");
  turning.out.pieces.back().alone = true;
  turning.out.notes.push_back(
      "VACUUM FULL would write the whole table anew while nobody can read it: a plain VACUUM frees the space "
      "for new "
      "rows instead. Where the file itself has to shrink, pg_repack does it online");
}

// As it is: where a rule refuses it, the reader of the script, who knows what stands before it, changes that.
void turn_other(const Turning& turning) {
  const bool own = lint::strongest_lock(turning.statement).work != lint::Work::kCatalogOnly ||
                   turning.statement.node()->node_case == PG_QUERY__NODE__NODE_ALTER_ENUM_STMT;
  as_written(turning, own);
}

// Each step has a session of its own, so that later statements would reach a table of the same name instead.
bool is_temporary(const schema::Statement& statement) {
  bool found = false;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    if (const auto* relation = as<PgQuery__RangeVar>(message))
      found = found || text_of(relation->relpersistence) == "t" ||
              text_of(relation->schemaname).starts_with("pg_temp");
    return !found;
  });
  return found;
}

void turn(const Turning& turning) {
  const schema::Statement& statement = turning.statement;
  const PgQuery__Node* node = statement.node();
  const QualifiedName subject = subject_of(statement);
  const bool fresh = !subject.name.empty() && turning.names.is_new(subject);
  if (is_temporary(statement))
    return turning.out.decide(
        statement, "what is temporary ends with its session, and each step has its own",
        {"make an ordinary table, and drop it at the end", "keep what needs it in one statement, by WITH"});
  if (meets_another(turning)) return;
  switch (statement.kind()) {
    case StatementKind::kAlterTable: return fresh ? as_written(turning) : turn_alter_table(turning);
    case StatementKind::kCreateIndex: {
      const bool concurrent = lint::needs_no_transaction(statement).concurrently;
      return fresh && !concurrent ? as_written(turning) : turn_index(turning);
    }
    case StatementKind::kReindex: return turn_index(turning);
    case StatementKind::kDrop: return turn_drop(turning, *node->drop_stmt);
    case StatementKind::kRename: return turn_rename(turning, *node->rename_stmt);
    case StatementKind::kVacuum: return turn_vacuum(turning, *node->vacuum_stmt);
    case StatementKind::kUpdate:
    case StatementKind::kDelete: return fresh ? as_written(turning) : turn_rows(turning);
    case StatementKind::kCluster:
      return turning.out.decide(
          statement, "CLUSTER writes the whole table anew while nobody can read it",
          {"pg_repack with --order-by does it online", "accept it in a maintenance window"});
    case StatementKind::kInsert:
    case StatementKind::kMerge: return fresh ? as_written(turning) : turn_copied_rows(turning);
    case StatementKind::kSelect:
    case StatementKind::kCreateTable:
    case StatementKind::kCreateFunction:
    case StatementKind::kCreateView: return as_written(turning);
    case StatementKind::kDo:
    case StatementKind::kCall:
      return turning.out.decide(
          statement,
          "what a DO block or a procedure does cannot be read from its text: its locks, and whether it may "
          "be "
          "repeated, are not known",
          {"write what it does as statements of their own",
           "try it by dry-run, and take responsibility for it: -- poundlock: ignore unreadable_code REASON"});
    default: return fresh ? as_written(turning) : turn_other(turning);
  }
}

}  // namespace

void SafeForm::add(std::string sql, std::string title) {
  Piece piece;
  piece.sql = std::move(sql);
  piece.title = std::move(title);
  piece.rewritten = true;
  pieces.push_back(std::move(piece));
}

void SafeForm::decide(const schema::Statement& statement, std::string why, std::vector<std::string> choices,
                      std::string rollout) {
  Decision decision;
  decision.sql = statement.text();
  decision.why = std::move(why);
  decision.choices = std::move(choices);
  decision.rollout = std::move(rollout);
  decisions.push_back(std::move(decision));
}

// Comments in a rewrite tell what a person has to do between its statements: such a one is no plan.
bool by_rewrite(SafeForm& form, const lint::Finding& fault) {
  if (fault.rewrite.empty() || fault.rewrite.find("--") != std::string::npos) return false;
  const auto script = schema::parse_script(fault.rewrite);
  if (!script || !script->errors.empty() || script->statements.empty()) return false;
  for (const auto& statement : script->statements) {
    if (statement.kind() == StatementKind::kCommit || statement.kind() == StatementKind::kBegin) continue;
    form.add(statement.text());
    form.pieces.back().alone = true;
  }
  return true;
}

SafeForm safe_form(const schema::Statement& statement, const Names& names,
                   const std::set<std::string>& accepted) {
  SafeForm out;
  const Turning turning{statement, names, out};
  if (accepted.empty())
    turn(turning);
  else
    as_written(turning, true);
  if (!out.unsure_name) return out;
  out.pieces.clear();
  out.notes.clear();
  if (out.decisions.empty())
    out.decide(
        statement,
        "what it makes has no name, and the script took or freed names before it in a way that its text "
        "does not tell: PostgreSQL may give it another name than the steps would",
        {"give it a name"});
  return out;
}

namespace {

// A double-quoted scalar, in which YAML and JSON agree.
std::string yaml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n' || c == '\t' || c == '\r')
      out += ' ';
    else
      out += c;
  }
  return out + "\"";
}

}  // namespace

std::string propose_rollout(const ColumnProposal& proposal) {
  std::string to = fmt::format("name: {}, type: {}", yaml_text(proposal.to), yaml_text(proposal.type));
  if (!proposal.default_expr.empty()) to += ", default: " + yaml_text(proposal.default_expr);
  const std::string name = schema::derive_name({proposal.table.name, proposal.to});
  std::string key;
  for (const char c : name)
    key += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c
           : c >= 'A' && c <= 'Z'                           ? static_cast<char>(c - 'A' + 'a')
                                                            : '_';
  return fmt::format(
      "rollout: {0}\nchange:\n  - change_column:\n      table: {1}\n      from: {2}\n      to: {{{3}}}\n     "
      " up: {4}\n"
      "      down: {5}\nfeature_flags:\n  {0}:\n    enabled: true\n    rollout_strategy: percentage\n"
      "    initial_percentage: 1\n    increment_step: 5\n    increment_interval: 15m\n",
      key, yaml_text(proposal.table.to_sql()), yaml_text(proposal.from), to, yaml_text(proposal.up),
      yaml_text(proposal.down));
}

}  // namespace poundlock::migration
