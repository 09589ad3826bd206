// Which names of relations and constraints are taken where a script stands, and the names that PostgreSQL
// gives to what the script leaves unnamed. Two unnamed indexes on one column are two indexes: whoever gives
// both one name builds the first alone.
// Sources: PostgreSQL's makeObjectName, ChooseRelationName, ChooseConstraintName, ChooseIndexNameAddition and
// FigureIndexColname. One script, one thread.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/catalog.h"
#include "schema/sql.h"

struct PgQuery__IndexStmt;
struct PgQuery__ColumnDef;
struct PgQuery__Constraint;

namespace poundlock::migration {

class Names;

// "name1_name2_label" in 63 bytes: the longer of the first two is cut. Any but the label may be "".
std::string object_name(std::string_view name1, std::string_view name2, std::string_view label);
// The columns as a derived name holds them, "a_b".
std::string joined_columns(const std::vector<std::string>& columns);
// Of an index: columns, and what PostgreSQL calls an expression ("lower", "expr").
std::vector<std::string> index_columns(const PgQuery__IndexStmt& index);
// The only column that a CHECK names, else "": its derived name holds it.
std::string checked_column(const PgQuery__Constraint& constraint);

// A name for something that has none. Not sure: the script took or freed names in a way that its text does
// not tell, so that PostgreSQL might number this one otherwise.
struct ChosenName {
  std::string name;
  bool sure = true;
};

class NameBook {
 public:
  explicit NameBook(const schema::Catalog* catalog);           // null: no database is known
  explicit NameBook(const NameBook* below) : below_(below) {}  // what is added here, `below` does not see

  // Of an index or sequence of the table; is_constraint: the name becomes a constraint's, too.
  ChosenName relation(const schema::QualifiedName& table, std::string_view second, std::string_view label,
                      bool is_constraint = false) const;
  ChosenName constraint(const schema::QualifiedName& table, std::string_view second,
                        std::string_view label) const;
  ChosenName index(const PgQuery__IndexStmt& index, const schema::QualifiedName& table) const;
  bool relation_taken(const schema::QualifiedName& name) const { return taken(name, &NameBook::relations_); }
  bool constraint_taken(const schema::QualifiedName& name) const {
    return taken(name, &NameBook::constraints_);
  }

  bool type_taken(const schema::QualifiedName& name) const { return taken(name, &NameBook::types_); }
  bool function_made(const schema::QualifiedName& name) const {
    return functions_.contains({name.schema, name.name}) || (below_ && below_->function_made(name));
  }

  // Has the script made nothing that its text does not name?
  bool knows_all() const { return !opaque(); }

  bool function_named(const std::string& name) const {  // that the script has made, in any schema
    return std::ranges::any_of(functions_, [&](const Key& one) { return one.second == name; }) ||
           (below_ && below_->function_named(name));
  }

  // What the statement takes and frees. `names` as they are before it.
  void after(const schema::Statement& statement, const Names& names);

 private:
  struct Entry {
    bool there = true;
    schema::QualifiedName table;  // what it goes with; "" where it stands by itself
  };
  using Key = std::pair<std::string, std::string>;
  using Entries = std::map<Key, Entry>;

  bool taken(const schema::QualifiedName& name, Entries NameBook::*which) const;
  ChosenName choose(const schema::QualifiedName& table, std::string_view second, std::string_view label,
                    bool among_relations, bool among_constraints) const;
  bool is_partitioned(const schema::QualifiedName& table) const;
  bool opaque() const { return opaque_ || (below_ != nullptr && below_->opaque()); }
  bool vague() const { return vague_ || (below_ != nullptr && below_->vague()); }

  void take(Entries& entries, const schema::QualifiedName& table, const std::string& name);
  void free_relation(const schema::QualifiedName& name);
  void free_with(const schema::QualifiedName& table);
  void add_constraint(const schema::QualifiedName& table, const PgQuery__Constraint& constraint,
                      const std::string& column);
  void add_column(const schema::QualifiedName& table, const PgQuery__ColumnDef& column);
  void create_table(const schema::Statement& statement, const Names& names);
  void alter_table(const schema::Statement& statement, const Names& names);
  void drop(const schema::Statement& statement, const Names& names);
  void rename(const schema::Statement& statement, const Names& names);
  void create_other(const schema::Statement& statement, const Names& names);

  const NameBook* below_ = nullptr;
  Entries relations_;
  Entries constraints_;
  Entries types_;              // but those of tables
  std::set<Key> functions_;    // that the script has made
  std::set<Key> partitioned_;  // indexes of these give their partitions indexes of names of their own
  bool opaque_ = false;        // names were taken that nobody here knows
  bool vague_ = false;         // names may have been freed that stand here as taken
};

}  // namespace poundlock::migration
