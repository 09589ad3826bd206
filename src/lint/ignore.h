// The comments by which a person takes responsibility for one statement:
//   -- poundlock: ignore drop_column_or_table references are zero since 2 May, DBA-311
// Used by lint() alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/sql.h"

namespace poundlock::lint {

struct IgnoreComment {
  std::size_t statement = 0;  // index of the statement that it is about
  std::vector<std::string> rules;
  std::string why;
  schema::ByteRange range;  // of the comment, in the script
  std::string problem;      // "" when it counts: otherwise what is wrong with it
};

std::vector<IgnoreComment> ignore_comments(const schema::Script& script);

}  // namespace poundlock::lint
