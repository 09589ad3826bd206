// What a statement makes that is left to a person: whoever needs it cannot run before it. One script, one
// thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "migration/words.h"
#include "schema/sql.h"

namespace poundlock::migration {

class LeftOut {
 public:
  // A statement that is not among the steps.
  void add(const schema::Statement& statement);
  // The name that it needs of those; "": none.
  std::string needed_by(const Words& words) const;

 private:
  std::set<std::string> relations_;
  std::map<std::string, std::set<std::string>, std::less<>> columns_;  // their tables
};

}  // namespace poundlock::migration
