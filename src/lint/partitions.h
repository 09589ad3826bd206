// What a partition's bounds mean for its parent and for the default partition, which PostgreSQL locks away
// and reads whenever a partition comes, unless a validated CHECK says that it holds none of its rows.
// Source: PostgreSQL 15's check_default_partition_contents, each form tried on a server.
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lint/context.h"

struct PgQuery__Node;
struct PgQuery__PartitionBoundSpec;

namespace poundlock::lint {

// nullptr: there is none, or the catalog was read without bounds (Catalog::parts).
const schema::Table* default_partition(const schema::Catalog& catalog, const schema::Table& parent);
// Of a partitioned table the sum of its leaves, of all levels; else its own.
std::int64_t bytes_of(const schema::Catalog& catalog, const schema::Table& table);
double rows_of(const schema::Catalog& catalog, const schema::Table& table);  // -1: not known

// The column of a key such as "RANGE (at)"; "" when it is of several columns, an expression or not known.
std::string key_column(const schema::Table* parent);

// Does it say more of the column than whether it is NULL?
bool names_column(const PgQuery__Node* condition, std::string_view column);

// The bounds of ATTACH PARTITION and PARTITION OF, where they stand in the statement.
struct Bounds {
  const PgQuery__PartitionBoundSpec& spec;
  const schema::Statement& statement;
  std::size_t begin = 0;  // of the action in the statement's text
};
// The condition that all rows within the bounds meet, and the one that all others do; "" where it takes
// thought. `column` as key_column().
std::string within(const Bounds& bounds, const std::string& column);
std::string outside(const Bounds& bounds, const std::string& column);

// The default partition that a new partition of `parent` makes PostgreSQL read; nullptr: none, one that is
// read in milliseconds, or one that a validated CHECK on the key spares it. Whether that is narrow enough
// only the server can say.
const schema::Table* read_default(const Context& context, const schema::QualifiedName& parent);

// `attach`, whole statements, behind a CHECK on the default partition that spares it the reading; "" where
// it takes thought.
std::string with_default_spared(const Context& context, const schema::Table& spared, const Bounds& bounds,
                                const std::string& column, const std::string& attach);

}  // namespace poundlock::lint
