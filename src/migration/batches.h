// What rows that are brought to their value in batches may name: the batches run in sessions of ours, which
// see pg_catalog alone and know nothing of what the script has SET. Pure; thread-safe.
#pragma once

#include <string>

#include "migration/names.h"

namespace poundlock::migration {

// The first name in a batch's statement that needs a search_path: a function, type or table that is written
// without its schema and is not PostgreSQL's own, so far as the catalog and the script tell. "": none.
std::string needs_search_path(const std::string& sql, const Names& names);

}  // namespace poundlock::migration
