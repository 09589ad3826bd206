// What names in a script stand for: by the catalog where one is known, by what the script itself has made
// before, else by the schema that is taken for granted. One script, one thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "migration/name_book.h"
#include "schema/catalog.h"
#include "schema/sql.h"

namespace poundlock::migration {

class Names {
 public:
  Names(const schema::Catalog* catalog, std::vector<std::string> path)
      : catalog_(catalog), path_(std::move(path)), book_(catalog) {}

  const schema::Catalog* catalog() const { return catalog_; }
  const NameBook& book() const { return book_; }
  schema::QualifiedName resolve(const schema::QualifiedName& name) const;
  // Of something that is to be made: never in a schema where something else has that name.
  schema::QualifiedName resolve_new(const schema::QualifiedName& name) const;
  schema::QualifiedName resolve_index(const schema::QualifiedName& name) const;  // or a sequence
  schema::QualifiedName resolve_type(const schema::QualifiedName& name) const;
  const schema::Table* table(const schema::QualifiedName& name) const;  // null: not known
  const schema::Column* column(const schema::QualifiedName& table, std::string_view name) const;
  // The table that has an index of this name; null: not known.
  const schema::Table* table_of_index(const schema::QualifiedName& index) const;
  bool is_new(const schema::QualifiedName& relation) const;  // made by the script: nobody waits for it
  bool is_new_column(const schema::QualifiedName& table, std::string_view column) const;
  // Of the catalog, or as the script has added it; "" where nobody knows.
  std::string type_of(const schema::QualifiedName& table, const std::string& column) const;
  // By the catalog and by what the script has done; false where nobody knows.
  bool has_column(const schema::QualifiedName& table, std::string_view column) const;
  // The default that the script itself gave the column before, as it was written; "" for DROP DEFAULT;
  // nullopt: the script has not touched it.
  std::optional<std::string> default_set(const schema::QualifiedName& table, const std::string& column) const;
  // Does an index or key that the script has made begin with the column?
  bool leads_new_index(const schema::QualifiedName& table, const std::string& column) const {
    return led_.contains({table, column});
  }
  // Of the database; the oldest where none is known.
  int server_version() const;
  bool is_dropped(const schema::QualifiedName& relation) const;
  bool is_dropped_column(const schema::QualifiedName& table, std::string_view column) const;

  const std::string& default_schema() const { return path_.front(); }
  const std::vector<std::string>& path() const { return path_; }
  // The search_path that the script has set: not empty; what is made goes to its first schema.
  void set_path(std::vector<std::string> schemas) { path_ = std::move(schemas); }
  // What the statement leaves behind for those after it.
  void after(const schema::Statement& statement);

 private:
  using ColumnName = std::pair<schema::QualifiedName, std::string>;
  const schema::Catalog* catalog_;
  std::vector<std::string> path_;
  NameBook book_;
  std::set<schema::QualifiedName> created_;
  std::set<schema::QualifiedName> dropped_;
  std::set<ColumnName> new_columns_;
  std::set<ColumnName> dropped_columns_;
  std::set<ColumnName> led_;  // first columns of the script's indexes
  std::map<ColumnName, std::string> defaults_;
  std::map<ColumnName, std::string> new_types_;
};

// What a statement is about first: the table that it locks, or the object that it makes or drops.
schema::QualifiedName subject_of(const schema::Statement& statement);

}  // namespace poundlock::migration
