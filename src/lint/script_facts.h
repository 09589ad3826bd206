// What the whole script makes, so that a rule need not read it again for each statement: the CHECK
// constraints with the place where each was added, validated and dropped, the keys that a foreign key could
// use as its index, domains with conditions, enum types, the table that its transaction has locked away from
// readers, the time zone.
// Made once for each call to lint(); constant then, thread-safe. One pass over the script.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lint/context.h"
#include "lint/made_tables.h"
#include "lint/script_names.h"
#include "lint/setting.h"
#include "lint/undone.h"

struct PgQuery__Constraint;
struct PgQuery__Node;

namespace poundlock::lint {

class ScriptFacts {
 public:
  // A constraint that an ALTER TABLE of the script adds. Places are indexes of statements.
  struct Added {
    schema::QualifiedName table;
    const PgQuery__Constraint* constraint = nullptr;
    std::string name;
    std::size_t added = 0;
    std::vector<std::size_t> validated = {};  // its own place when it was added without NOT VALID
    std::vector<std::size_t> dropped = {};
  };
  // The columns of a full index, or of a primary or unique key, in order.
  struct Key {
    schema::QualifiedName table;
    std::vector<std::string> columns;
    std::size_t at = 0;
  };

  ScriptFacts(const schema::Script& script, const Options& options);

  const ScriptNames& names() const { return names_; }
  std::span<const Added> added_to(std::string_view table) const;    // by its bare name
  bool is_there(const Added& constraint, std::size_t index) const;  // added before, and not dropped
  bool proven_at(const Added& constraint, std::size_t index) const;
  bool has_key(const schema::QualifiedName& table, std::span<const std::string> leading) const;
  bool makes_table_before(const schema::QualifiedName& table, std::size_t index) const {
    return tables_.is_made(table, index);
  }
  bool makes_domain(const schema::QualifiedName& name) const { return domains_.contains(name.name); }
  // A domain, an enum or a sequence, by an earlier statement.
  bool makes_type(const schema::QualifiedName& name, std::size_t index) const;
  // What the script has made of a constraint that it may not have added: true validated, false dropped.
  std::optional<bool> changed_before(const schema::QualifiedName& table, const std::string& constraint,
                                     std::size_t index) const;
  // The table that an earlier statement of the same transaction has locked away from readers; nullptr: none.
  const schema::QualifiedName* locked_before(std::size_t index) const;
  // A statement that answers all columns of the table by a * and may be prepared already: a PREPARE before
  // this place, or one that the application sends; nullptr: none.
  const schema::Statement* star_reader(const schema::QualifiedName& table, std::size_t index) const;
  // The places of the script's CREATE POLICY on the table, ascending.
  std::vector<std::size_t> policies_on(const schema::QualifiedName& table) const;
  // Has the script set the time zone to UTC before this statement, and not to another?
  bool utc_at(std::size_t index) const;

 private:
  void alter(const schema::Statement& statement, std::size_t index);
  void create(const schema::Statement& statement, std::size_t index);
  void lock(const schema::Statement& statement, std::size_t index, bool wrapped);
  void savepoint(const schema::Statement& statement, std::size_t index);
  void note_star(const schema::Statement& statement, std::size_t index);
  void add_key(const schema::QualifiedName& table, std::vector<std::string> columns, std::size_t index);

  const Undone undone_;
  const MadeTables tables_;
  const ScriptNames names_;
  const Setting time_zone_;
  struct Change {
    schema::QualifiedName table;
    std::size_t at = 0;
    bool validated = false;
  };
  std::map<std::string, std::vector<Added>, std::less<>> added_;
  std::map<std::string, std::vector<Change>, std::less<>> changes_;  // by the constraint's name
  std::map<std::string, std::vector<Key>, std::less<>> keys_;
  std::set<std::string, std::less<>> domains_;  // with a CHECK or NOT NULL
  std::map<std::string, std::vector<std::size_t>, std::less<>> types_;
  struct Policy {
    schema::QualifiedName table;
    std::size_t at = 0;
  };
  struct Reader {
    schema::QualifiedName table;
    std::size_t at = 0;  // kNever: one that the application sends, at any time
    const schema::Statement* statement = nullptr;
  };
  std::map<std::string, std::vector<Reader>, std::less<>> star_readers_;
  std::map<std::string, std::vector<Policy>, std::less<>> policies_;
  std::vector<std::pair<std::string, std::size_t>> savepoints_;  // of the open transaction, with their places
  std::map<std::size_t, schema::QualifiedName> locks_;           // by the statement that takes it
  std::vector<std::size_t> locked_by_;                           // for each statement; kNever
  std::size_t holder_ = kNever;
  bool begun_ = false;
};

// Does the condition hold only where the column is not null: column IS NOT NULL, alone or as a term of AND?
bool proves_not_null(const PgQuery__Node* condition, std::string_view column);

// Is the column known to hold no null at this statement: NOT NULL or a validated CHECK, in the catalog or
// made by the script before?
bool known_not_null(const Context& context, const schema::QualifiedName& table, std::string_view column);

// A name for a constraint or index of the table that is not taken, as far as catalog and script tell: the
// derived one, or it with a number behind. Not quoted.
std::string free_name(const Context& context, const schema::QualifiedName& table,
                      const std::vector<std::string_view>& parts);

// The conditions of the table's validated CHECK constraints at this statement, from catalog and script; the
// catalog's are parsed into `parsed`, which has to outlive the answer.
std::vector<const PgQuery__Node*> validated_checks(const Context& context, const schema::QualifiedName& table,
                                                   std::vector<schema::Statement>& parsed);

}  // namespace poundlock::lint
