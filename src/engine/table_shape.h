// Where the rows of a table are: its leaves (the partitions of a partitioned table, else itself) with their
// size in blocks, and the types of its key. Also the SQL that picks a range of blocks and a stripe of rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/database.h"

namespace poundlock::engine {

struct Leaf {
  std::string oid;       // as text, to be bound
  std::string name;      // quoted and qualified
  std::string filenode;  // changes with VACUUM FULL, CLUSTER, TRUNCATE and rewrites
  std::int64_t blocks = 0;
  double rows = 0;  // the planner's estimate, or a guess from the blocks
};

struct KeyColumn {
  std::string name;  // quoted
  std::string type;  // SQL, qualified
};

struct TableShape {
  int server_version_num = 0;
  std::int64_t block_bytes = 8192;
  std::vector<Leaf> leaves;
  std::vector<KeyColumn> key;  // empty: no primary key
  double rows() const;
  std::int64_t blocks() const;
};

// kUser "engine.no_table" where it is gone. `key` holds quoted column names.
Result<TableShape> read_shape(ports::Session& session, const std::string& table,
                              const std::vector<std::string>& key);

// Rows in blocks [from, to). From PostgreSQL 14 on a TID range; before, a list of TIDs, since a range of
// them would scan the whole table.
std::string block_range(const TableShape& shape, std::int64_t from, std::int64_t to);
// Rows of stripe `stripe` of `stripes`, by a hash of the key, or of the place where there is none; "" for
// one.
std::string stripe_condition(const TableShape& shape, int stripe, int stripes);
// The key as text for people: "(42)" ; ctid without a key.
std::string key_text(const TableShape& shape);

}  // namespace poundlock::engine
