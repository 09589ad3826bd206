// Which statements of a script a later ROLLBACK takes back, to a savepoint too: what they have made, added or
// set is then as it was before them. Made once for each call to lint(); constant then, thread-safe.
#pragma once

#include <cstddef>
#include <vector>

#include "schema/sql.h"

namespace poundlock::lint {

inline constexpr std::size_t kNever = static_cast<std::size_t>(-1);

class Undone {
 public:
  // `wrapped`: the runner has put a transaction of its own around the script.
  Undone(const schema::Script& script, bool wrapped);

  // Places are indexes of statements. Has the statement run before the other, and does its effect still hold?
  bool holds(std::size_t statement, std::size_t at) const { return statement < at && by_[statement] >= at; }

 private:
  std::vector<std::size_t> by_;  // for each statement the ROLLBACK; kNever
};

}  // namespace poundlock::lint
