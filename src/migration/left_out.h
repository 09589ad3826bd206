// What a statement makes that is left to a person: whoever needs it cannot run before it. One script, one
// thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "migration/words.h"
#include "schema/sql.h"

namespace poundlock::migration {

class LeftOut {
 public:
  // A statement that is not among the steps.
  void add(const schema::Statement& statement);
  // The name that it needs of those; "": none.
  std::string needed_by(const Words& words) const;
  // The statement that may need the rows of what a drop takes away: one of those that names `table` (without
  // its schema), or one whose reading nobody can follow. "": none.
  std::string reader_of(const std::string& table) const;

 private:
  struct Reader {
    std::string sql;
    Words words;
    bool anything = false;  // code, or a call of it
  };

  std::vector<Reader> readers_;
  std::set<std::string> relations_;
  std::map<std::string, std::set<std::string>, std::less<>> columns_;  // their tables
};

}  // namespace poundlock::migration
