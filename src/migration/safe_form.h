// One statement as a person wrote it, turned into statements that are safe to run beside live traffic. What
// cannot be turned is a decision. The rules are those of docs/rules; the forms are PostgreSQL's documented
// ones (NOT VALID and VALIDATE, USING INDEX, CONCURRENTLY). Pure; thread-safe.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "change/step.h"
#include "lint/lint.h"
#include "migration/names.h"
#include "migration/sql_plan.h"
#include "schema/sql.h"

namespace poundlock::migration {

// One statement that is safe as it stands.
struct Piece {
  std::string sql;  // without its semicolon
  change::Phase phase = change::Phase::kDualWrite;
  bool alone = false;      // commits by itself: what follows must not hold its lock, or needs it committed
  bool joined = false;     // commits with the piece before it
  bool proven = false;     // writes the catalog only, though the form alone would do more
  bool rewritten = false;  // not what the person wrote
  std::optional<change::InStep> backfill;  // in batches; `sql` is what they amount to
  bool once = false;                       // of a backfill: each row at most once, by its key
  std::string probe;                       // in place of the statement's own; "": that
  std::string or_probe;                    // the step is done as well where this says so
  std::string and_probe;                   // and only where this says so
  std::string undo;                        // in place of the statement's own; "": that
  std::string title;                       // "" where the statement says it
};

// A foreign key whose first column leads no index of the catalog.
struct UnindexedKey {
  schema::QualifiedName table;  // resolved
  std::string column;
  std::string note;  // where the script makes no such index either
};

struct SafeForm {
  std::vector<Piece> pieces;
  std::vector<Decision> decisions;  // without their place
  std::vector<std::string> notes;   // what was changed and why
  std::vector<UnindexedKey> unindexed;
  bool unsure_name = false;  // PostgreSQL might give another name to what has none

  void add(std::string sql, std::string title = {});
  void decide(const schema::Statement& statement, std::string why, std::vector<std::string> choices,
              std::string rollout = {});
};

// `accepted`: rules that a comment in the script takes responsibility for; such a statement stays as it is.
SafeForm safe_form(const schema::Statement& statement, const Names& names,
                   const std::set<std::string>& accepted = {});

// The statements of a rule's own rewrite, each committed by itself; false where it has none that is whole.
bool by_rewrite(SafeForm& form, const lint::Finding& fault);

// The parts of it, each in a file of its own.
struct Turning {
  const schema::Statement& statement;
  const Names& names;
  SafeForm& out;
  const schema::Constraint* replaced = nullptr;  // whose place a new key or UNIQUE takes
};
// Decides where a name that the statement gives is another object's; safe_names.cpp.
bool meets_another(const Turning& turning);
void turn_alter_table(const Turning& turning);    // safe_alter.cpp
void turn_added_columns(const Turning& turning);  // safe_column.cpp: one ADD COLUMN
// Is the CHECK there by which turn_set_not_null() proves it, left by a change that is half done?
bool has_not_null_helper(const Turning& turning, const schema::QualifiedName& table,
                         const std::string& column);
void turn_set_not_null(const Turning& turning, const schema::QualifiedName& table, const std::string& column);
void turn_constraint(const Turning& turning);  // safe_constraint.cpp: one ADD CONSTRAINT
// CREATE UNIQUE INDEX CONCURRENTLY and ADD CONSTRAINT ... USING INDEX.
void turn_unique(const Turning& turning, const schema::QualifiedName& table, const std::string& name,
                 const std::vector<std::string>& columns, bool primary, const std::string& suffix,
                 const std::string& attributes);
// Of a key or UNIQUE that takes the place of another one: the free name that its index has until then, and
// the probe that tells that it has. safe_replace.cpp.
std::string index_beside(const Turning& turning, const schema::QualifiedName& table, const std::string& name);
std::string replaced_probe(const schema::QualifiedName& table, const std::string& name,
                           const schema::Constraint& old);
// As schema::Index::columns: key columns, then INCLUDE columns; "" for an expression.
std::vector<std::string> key_columns(const PgQuery__IndexStmt& index);
void turn_index(const Turning& turning);  // safe_index.cpp: CREATE, DROP INDEX, REINDEX
// The statement as it is, and of an unnamed index with the name that PostgreSQL would give it, if that is
// sure.
std::string with_index_name(const Turning& turning);
// CREATE INDEX of a partitioned table that the catalog knows.
void turn_partitioned_index(const Turning& turning, const schema::Table& table);
void turn_rows(const Turning& turning);                                    // safe_rows.cpp: UPDATE, DELETE
void turn_copied_rows(const Turning& turning);                             // INSERT, MERGE
std::vector<std::string> insert_columns(const schema::Statement& insert);  // that it names; none for others
// Two INSERTs of one row, the second ON CONFLICT DO NOTHING, as one INSERT that writes both; nullopt where
// they are not of that kind.
std::optional<std::string> merged_insert(const schema::Statement& first, const schema::Statement& second,
                                         const Names& names);

// The names that are taken behind the pieces so far: a step of ours must never meet another's constraint,
// index or sequence.
NameBook book_of(const Turning& turning);
// PostgreSQL's own name for what has none; where that is not sure, the form becomes a decision.
std::string chosen(const Turning& turning, ChosenName name);
// For something of ours that goes away again: any name that is free.
std::string own_constraint_name(const Turning& turning, const schema::QualifiedName& table,
                                const std::string& wanted);

// A backfill that sets `column` to `value` wherever it is NULL.
Piece fill_step(const Turning& turning, const schema::QualifiedName& table, const std::string& column,
                const std::string& value, std::string_view why);

// A rollout file of one change_column; what is not known stands there as a word to be replaced.
struct ColumnProposal {
  schema::QualifiedName table;
  std::string from;
  std::string to;
  std::string type;
  std::string default_expr;
  std::string up;
  std::string down;
};
std::string propose_rollout(const ColumnProposal& proposal);

}  // namespace poundlock::migration
