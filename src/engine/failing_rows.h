// Finds the rows on which a statement raises (an `up` that cannot convert a value), by trying smaller and
// smaller parts of a range of blocks, each in a transaction that is rolled back.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/table_shape.h"
#include "ports/database.h"

namespace poundlock::engine {

struct FailingRows {
  std::vector<std::string> keys;  // at most 5, of the first block that has any
  std::string reason;             // what PostgreSQL said about the first of them
  std::string to_string() const;  // "(42), (43): invalid input syntax for type integer: "x""
};

// `statement` makes the statement for a condition on ctid.
Result<FailingRows> find_failing_rows(ports::Session& session, const TableShape& shape, const Leaf& leaf,
                                      std::int64_t from_block, std::int64_t to_block,
                                      const std::function<std::string(const std::string&)>& statement);

// Raised by data, not by locks, rights or the network.
bool is_data_error(const Error& error);

}  // namespace poundlock::engine
