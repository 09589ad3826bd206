// Which statements of a script read rows of a table, so that they copy them: a drop behind them waits for the
// contract phase, and what the application writes there in between would be lost. One script, one thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "migration/reading.h"
#include "migration/words.h"

namespace poundlock::migration {

class Copies {
 public:
  // The entry that comes to stand at `position`. INSERT ... VALUES, which reads nothing, is none.
  void add(const schema::Statement& statement, const Entry& entry, std::size_t position, const Names& names);
  // The statement that has read rows of what `drop` takes away; "": none. Of a column: one that names it, or
  // takes whole rows.
  std::string before(const std::vector<Entry>& entries, const Entry& drop) const;

 private:
  struct Copy {
    std::size_t position = 0;
    schema::QualifiedName written;  // the table that it writes; what it copies there is not lost with that
    Words columns;
    Words assigned;  // of an UPDATE of the table itself
    bool every = false;
  };

  const Copy* first(const std::vector<Entry>& entries, const Entry& drop,
                    const change::ColumnRef& column) const;

  std::map<std::string, std::vector<Copy>, std::less<>> by_table_;  // the table's name without its schema
};

}  // namespace poundlock::migration
