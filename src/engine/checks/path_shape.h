// What the syntax tree says of one of the application's statements: what its parameters stand for, what it
// orders by, and which of its forms take columns by position or as a whole. Pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/identifier.h"
#include "schema/sql.h"

namespace poundlock::engine {

// A value that fits a parameter.
struct ParameterUse {
  enum class Kind {
    kCompared,  // column = $1, BETWEEN, IN, LIKE
    kAny,       // column = ANY ($1): an array of the column's values
    kSet,       // UPDATE ... SET column = $1: a value that another row has
    kInserted,  // INSERT ... VALUES ($1)
    kLimit,     // LIMIT $1
    kOffset,    // OFFSET $1
  };
  Kind kind = Kind::kCompared;
  std::string column;  // unquoted; "" of a limit
};

struct PathShape {
  std::map<int, ParameterUse> parameters;  // by number, those whose use is understood
  int highest = 0;                         // largest $n
  bool writes = false;
  bool inserts = false;  // INSERT ... VALUES
  bool limited = false;  // LIMIT or FETCH FIRST of the whole statement
  bool ordered = false;  // ORDER BY of the whole statement
  // The outputs, from 0, that it orders by; fewer than it names where one of them is no output.
  std::vector<std::size_t> order_outputs;
  bool order_is_output = false;  // all of them are
  // The outputs, from 0, made with what answers otherwise each time, such as now() or random(); none where a
  // star or a UNION leaves open which output is which.
  std::vector<std::size_t> by_itself;
  // Of the change's tables, as written.
  std::vector<std::string> star;       // SELECT *, RETURNING *
  std::vector<std::string> whole_row;  // SELECT o FROM orders o
  std::vector<std::string> unlisted;   // INSERT without a column list
};

// `tables`: those whose columns the change adds or drops. Errors are those of the parser.
Result<PathShape> shape_of(std::string_view sql, const std::vector<schema::QualifiedName>& tables);

}  // namespace poundlock::engine
