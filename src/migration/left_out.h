// What a statement makes that is left to a person: whoever needs it cannot run before it. One script, one
// thread.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "schema/sql.h"

namespace poundlock::migration {

class LeftOut {
 public:
  // A statement that is not among the steps.
  void add(const schema::Statement& statement);
  // The name that it needs of those; "": none.
  std::string needed_by(const schema::Statement& statement) const;

 private:
  std::set<std::string> relations_;
  std::set<std::pair<std::string, std::string>> columns_;  // table, column
};

}  // namespace poundlock::migration
