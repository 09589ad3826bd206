// What a rule sees: one statement, and what the script has done before it.
// Values that live as long as the call to lint().
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "schema/catalog.h"
#include "schema/sql.h"

struct PgQuery__AlterTableCmd;

namespace poundlock::lint {

struct Options {
  // The runner puts the whole file into one transaction, as Flyway and Rails do unless told otherwise.
  bool in_transaction = false;
  // The runner sets lock_timeout and statement_timeout itself, as Poundlock does.
  bool timeouts_supplied = false;
  // Borrowed; null: no database is known. With it a type change is judged by the column's real type.
  const schema::Catalog* catalog = nullptr;
  std::vector<std::string> disabled;  // rule ids
};

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
  std::span<const schema::QualifiedName> created;  // tables that this script made: nobody waits for them

  bool is_new(const schema::QualifiedName& table) const;
  const schema::Column* column(const schema::QualifiedName& table, std::string_view name) const;
};

// A missing schema matches any: the search_path is not known here.
bool same_table(const schema::QualifiedName& a, const schema::QualifiedName& b);

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

// "table orders", for messages.
std::string table_text(const schema::QualifiedName& table);

}  // namespace poundlock::lint
