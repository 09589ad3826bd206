// What a rule sees: one statement, and what the script has done before it.
// Values that live as long as the call to lint().
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "schema/catalog.h"
#include "schema/sql.h"

struct PgQuery__AlterTableCmd;
struct PgQuery__RangeVar;

namespace poundlock::lint {

// Up to here a table counts as small: it is read or rewritten in some ten milliseconds.
inline constexpr double kSmallTableRows = 10'000;
inline constexpr std::int64_t kSmallTableBytes = 8 * 1024 * 1024;

struct Options {
  // The runner puts the whole file into one transaction, as Flyway and Rails do unless told otherwise.
  bool in_transaction = false;
  // The runner sets lock_timeout and statement_timeout itself.
  bool timeouts_supplied = false;
  // It does so for each statement anew, as Poundlock does: what the script sets holds for none.
  bool timeouts_for_each = false;
  // Borrowed; null: no database is known. With it a type change is judged by the column's real type.
  const schema::Catalog* catalog = nullptr;
  std::vector<std::string> disabled;  // rule ids
  // The runner runs the file again whenever it has changed, as Flyway does with R__ files.
  bool repeatable = false;
  // Borrowed; statements that the application is known to send: the paths of a rollout, pg_stat_statements.
  std::span<const schema::Statement> application = {};
  // Borrowed; the bare names of all relations of the database, of extensions' and indexes too, where the
  // catalog is that of the whole database: then a name that is neither there nor made by the script is none.
  // null: not known.
  const std::set<std::string, std::less<>>* relations = nullptr;
  // Between the statements runs what is not here, or the tool puts words into them: what psql includes, a
  // placeholder.
  bool incomplete = false;
};

class ScriptFacts;

struct Context {
  const schema::Script& script;
  const schema::Statement& statement;
  const Options& options;
  bool in_transaction = false;                            // BEGIN without its COMMIT yet, or the runner's own
  bool begun = false;                                     // by a BEGIN of the script
  std::span<const schema::Statement* const> transaction;  // earlier statements of the same transaction
  std::span<const schema::Statement> following;           // later statements of the script
  bool lock_timeout = false;                              // is one in force here?
  bool statement_timeout = false;
  bool own_lock_timeout = false;  // is it one that the script has set?
  bool own_statement_timeout = false;
  const ScriptFacts* facts = nullptr;  // never null in a rule's check

  std::size_t index() const;  // the statement's place in the script
  std::span<const schema::Statement> earlier() const;
  bool is_new(const schema::QualifiedName& table) const;  // made by this script: nobody waits for it
  const schema::Table* table(const schema::QualifiedName& name) const;  // nullptr: not known
  // Is the table known to be so small that reading or writing all of it takes milliseconds?
  bool is_small(const schema::QualifiedName& table) const;
  const schema::Column* column(const schema::QualifiedName& table, std::string_view name) const;
};

// A missing schema matches any: the search_path is not known here.
bool same_table(const schema::QualifiedName& a, const schema::QualifiedName& b);

// The table that a CREATE makes, in pg_temp when it is temporary. "": with IF NOT EXISTS it may be an old
// one, full of rows, unless the catalog tells that there is none.
schema::QualifiedName made_name(const PgQuery__RangeVar& relation, bool if_not_exists,
                                const schema::Catalog* catalog);

// COMMIT AND CHAIN, ROLLBACK AND CHAIN: the next transaction begins at once.
bool chains(const schema::Statement& statement);

// One action of an ALTER TABLE, with its place.
struct Action {
  const PgQuery__AlterTableCmd& command;
  schema::QualifiedName table;
  schema::ByteRange range;
  std::string name;  // the column or constraint it is about; ""
};
// Calls visit for each action, when the statement is an ALTER TABLE on a table that is not new.
void each_action(const Context& context, const std::function<void(const Action&)>& visit);
void each_action(const schema::Statement& statement, const std::function<void(const Action&)>& visit);

// The whole statement with `safe` (whole statements) in the place of that one action: what stands before and
// behind it becomes an ALTER TABLE of its own. "" when safe is "", and for a statement of more than 100
// actions.
std::string in_place_of(const schema::Statement& statement, const Action& action, const std::string& safe);

// "table orders", for messages.
std::string table_text(const schema::QualifiedName& table);

}  // namespace poundlock::lint
