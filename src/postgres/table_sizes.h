// How large tables are on a shadow and in the database that it stands for.
#pragma once

#include <vector>

#include "ports/shadow.h"

namespace poundlock::postgres {

// Of `tables` and of their partitions, each of which is traced by its own name and has a size of its own; at
// most 500 of one table. From the catalog's estimates. `source` may be null: its sizes are then not known.
Result<std::vector<ports::TableSize>> table_sizes(ports::Session& shadow, ports::Session* source,
                                                  const std::vector<schema::QualifiedName>& tables);

}  // namespace poundlock::postgres
