// What holds rows or numbers, is dropped by a script, and is made anew by it under the same name. No catalog
// tells the old one from the new one: whoever ran the drop a second time would take the new one away, with
// what has been written to it since. One script, one thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "migration/names.h"
#include "schema/sql.h"

namespace poundlock::migration {

class MadeAgain {
 public:
  // `place`: any number by which the caller knows the statement. `names` as they are before it.
  void add(const schema::Statement& statement, std::size_t place, const Names& names);
  // What the statement makes that one added before drops.
  struct Met {
    std::vector<std::size_t> places;  // of the statements that drop it; none: the statement itself does
    std::string why;                  // of a decision; "": nothing is met
    std::vector<std::string> choices;
  };
  Met met(const schema::Statement& statement, const Names& names) const;

 private:
  using Key = std::pair<schema::QualifiedName, std::string>;  // of a column its name, else ""
  std::map<Key, std::vector<std::size_t>> dropped_;
};

}  // namespace poundlock::migration
