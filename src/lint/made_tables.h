// The tables that a script makes itself, and for how long each is what its name means: until it is dropped,
// renamed, moved, taken back by a ROLLBACK, gone with its transaction or session, or hidden by another
// search_path. Nobody waits for such a table; what has only its name may be full of rows, so in doubt it is
// another one. Made once for each call to lint(), by one pass; constant then, thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lint/context.h"
#include "lint/setting.h"
#include "lint/undone.h"

struct PgQuery__RangeVar;

namespace poundlock::lint {

class MadeTables {
 public:
  // Keeps references to `undone` and to the options' catalog.
  MadeTables(const schema::Script& script, const Options& options, const Undone& undone);

  // Does the name mean, in that statement, a table that an earlier one has made?
  bool is_made(const schema::QualifiedName& table, std::size_t statement) const;

 private:
  struct Made {
    schema::QualifiedName name;  // with its schema where that is known; pg_temp of a temporary one
    std::size_t path = 0;        // of a name without a schema: the number of the search_path then
    std::size_t at = 0;
    std::vector<std::size_t> gone = {};  // the statements that take its name from it
  };
  struct Path {
    std::string first;       // what is made goes there; "": not known
    bool temp_last = false;  // pg_temp is named in it, behind others
  };

  void follow(const schema::Statement& statement);
  void create(const schema::Statement& statement);
  void make(const PgQuery__RangeVar& relation, bool if_not_exists, int on_commit);
  void drop(const schema::Statement& statement);
  void drop_schema(const std::string& schema);
  void move(const schema::Statement& statement);
  void rename_schema(const std::string& from, const std::string& to);
  void run_code(const std::string& text);
  void lose(Made& made) const;
  // Its name means nothing of the script's any more. Answers what it meant.
  std::vector<Made> forget(const schema::QualifiedName& table);
  void give_name(const schema::QualifiedName& old, const schema::QualifiedName& now);

  std::size_t number_of(const SettingValue& path);
  bool holds(const Made& made, std::size_t statement) const;
  bool means(const Made& made, const schema::QualifiedName& table, std::size_t statement) const;

  const schema::Catalog* catalog_;
  const Undone& undone_;
  std::map<std::string, std::size_t> numbers_;  // by the path's text
  std::vector<Path> paths_;                     // by number
  std::vector<std::size_t> path_at_;            // for each statement
  bool open_;
  std::size_t now_ = 0;
  std::map<std::string, std::vector<Made>, std::less<>> tables_;  // by their bare names
  std::set<std::string, std::less<>> others_;  // names that a table not made here has lost, or got
  std::vector<std::pair<std::string, std::size_t>> until_commit_;  // ON COMMIT DROP: name, place in tables_
};

}  // namespace poundlock::lint
