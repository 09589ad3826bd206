// Compares a column of `orders`, row by row, with the journals in which the writers noted what the server
// acknowledged. A row is right when it holds the last acknowledged value, or one that was under way later.
// One thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "ports/database.h"

namespace poundlock::cli {

struct JournalCheck {
  std::uint64_t rows = 0;  // that were ever written and acknowledged
  std::uint64_t lost = 0;
  std::string first;  // "row 17 holds 'a', acknowledged was 'b'"
};

// `column` as in SQL. May run while the writers write.
Result<JournalCheck> check_journals(ports::Session& session, const std::string& directory,
                                    const std::string& column);

}  // namespace poundlock::cli
