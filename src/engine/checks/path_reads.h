// Whether two result sets are the same answer: as multisets of rows, and in their order where the statements
// state one. Rows that are equal in everything that is ordered by may come in any order. Pure.
#pragma once

#include <string>

#include "engine/checks/path_shape.h"
#include "ports/database.h"

namespace poundlock::engine {

struct RowsVerdict {
  std::string kind;          // "", "columns_differ", "rows_differ", "order_differs"
  std::string message;       // in plain words
  bool error = true;         // false: SQL leaves it open which of the two comes
  std::size_t left_out = 0;  // values that change by themselves, where the rest was compared
};

RowsVerdict compare_rows(const ports::Rows& legacy, const PathShape& legacy_shape, const ports::Rows& fresh,
                         const PathShape& fresh_shape);

}  // namespace poundlock::engine
