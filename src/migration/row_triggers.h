// The triggers that fire for each row that an UPDATE of ours writes. Pure; thread-safe.
#pragma once

#include <set>
#include <string>

#include "migration/names.h"

namespace poundlock::migration {

struct RowTriggers {
  std::string all;      // "trigger a, b"; "" for none, and where no database is known
  std::string writing;  // those of them that may change the row: BEFORE, with a function that assigns to NEW
};
RowTriggers row_triggers(const Names& names, const schema::QualifiedName& table,
                         const std::set<std::string>& assigned);

}  // namespace poundlock::migration
