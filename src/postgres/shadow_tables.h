// Which tables a sampled shadow needs rows of, beside those that the change names: what their views read and
// what their foreign keys point to. And how the samples of two large tables are chosen so that they meet: the
// one that is pointed to gives the rows that the other one's sample points to.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/database.h"
#include "schema/catalog.h"

namespace poundlock::postgres {

// A foreign key between two of the tables; columns are quoted, in the key's order.
struct TableReference {
  schema::QualifiedName from, to;
  std::string from_columns, to_columns;
};

struct ShadowTables {
  std::vector<schema::QualifiedName> all;  // those given first, in their order, whatever they are
  std::vector<schema::QualifiedName>
      sampled;  // tables that get rows of their own: a partition has its table's
  std::vector<schema::QualifiedName> refreshed;  // materialized views, each behind those that it reads
  std::vector<TableReference> references;
};

// `source` is read only. A name that is nothing there stays in `all` alone.
Result<ShadowTables> shadow_tables(ports::Session& source, const std::vector<schema::QualifiedName>& given);

// FROM ... LIMIT of a table's sample, with the row as r: each run answers the same rows, as long as nobody
// writes and synchronize_seqscans is off, so that another table's sample can be chosen by it.
std::string sample_from(const schema::Catalog& catalog, const std::vector<TableReference>& references,
                        const schema::Table& table, std::uint64_t rows_max);

}  // namespace poundlock::postgres
