// The planner's statistics of tables, read from one database and written into the catalog of another that
// holds a sample of their rows, so that a plan is made there as it would be made here: how many rows a table
// has, how many values a column has and which of them are frequent.
//
// The planner multiplies a table's rows for each page by the pages that it has now. So the number of rows is
// written beside the pages of the sample; what a plan costs in pages stays that of the sample.
// Source: PostgreSQL's documentation of pg_class, pg_statistic, pg_stats and pg_restore_attribute_stats.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "ports/database.h"
#include "schema/identifier.h"

namespace poundlock::postgres {

struct RelationStatistics {
  schema::QualifiedName name;  // a table, a partition of one, or an index
  double rows = 0;
  double visible = 0;                             // the share of its pages that is all visible
  std::vector<std::vector<ports::Cell>> columns;  // as the query of read_statistics() answers them
};

// Of `tables`, their partitions and their indexes, as far as they have been analysed and the role may see it.
Result<std::vector<RelationStatistics>> read_statistics(ports::Session& source,
                                                        const std::vector<schema::QualifiedName>& tables);

// The objects of CREATE STATISTICS on `tables` and their partitions. What they
// hold cannot be written anywhere before PostgreSQL 19: pg_ndistinct and its like have no way in.
Result<std::vector<std::string>> extended_statistics(ports::Session& source,
                                                     const std::vector<schema::QualifiedName>& tables);

struct StatisticsWritten {
  int tables = 0, columns = 0;
  // What keeps the sample's: "visits.tags". Before PostgreSQL 18 columns of arrays, tsvector and ranges, of
  // which statistics cannot be written whole; from there on what the server did not take.
  std::vector<std::string> left;
  std::string why_not;  // "" where they are written; else nothing was
};

// Inside the caller's transaction. Needs a superuser before PostgreSQL 18, from there on the tables' owner.
// Columns that are not there any more are left out; others keep what ANALYZE found. `rows`: the tables'
// numbers of rows as well.
Result<StatisticsWritten> write_statistics(ports::Session& shadow,
                                           const std::vector<RelationStatistics>& statistics, bool rows);

}  // namespace poundlock::postgres
