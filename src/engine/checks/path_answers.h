// What one of the application's reading statements answers, however much that is: a result that fits is held
// whole, one that does not by the number of its rows and a sum over their hashes, which the server makes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/checks/path_reads.h"
#include "ports/database.h"

namespace poundlock::engine {

inline constexpr std::size_t kAnswerRowsMax = 20'000;
inline constexpr std::size_t kAnswerBytesMax = 64U << 20;

struct PathAnswer {
  ports::Rows rows;
  bool whole = true;
  std::string sum;  // where it is not whole: "50000 rows, whose hashes add up to -17"
};

// Inside the caller's transaction, which has the time-out and is rolled back. Errors are the server's.
Result<PathAnswer> answer_of(ports::Session& session, const std::string& sql,
                             const std::vector<ports::Cell>& params);

// As compare_rows(), also of results that are not whole. These are compared as sets only.
RowsVerdict compare_answers(const PathAnswer& legacy, const PathShape& legacy_shape, const PathAnswer& fresh,
                            const PathShape& fresh_shape);

// What the legacy statement gave, and gave once more.
struct TwiceAsked {
  const PathAnswer& once;
  const PathAnswer& again;
  const PathShape& shape;
};
// `verdict` on the first two answers where legacy gives the same twice. Else the columns are left out that it
// gives otherwise each time, such as now(), as long as its rows are the same in the others: a difference in
// these is an error. Where there is none, "values_left_out", which is a comparison of the rest: if the
// columns left out are made by a function that changes by itself, and the others tell the rows apart. Else,
// as where the rows themselves change (ORDER BY random() LIMIT 3), "not_compared": it is no proof that both
// are alike.
RowsVerdict compare_at_rest(const TwiceAsked& legacy, const PathAnswer& fresh, const PathShape& fresh_shape,
                            RowsVerdict verdict);

}  // namespace poundlock::engine
