// Triggers that copy whole rows: INSERT INTO history SELECT NEW.* fits until its table gets one more column,
// and then every statement that fires it fails. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "schema/catalog.h"

namespace poundlock::rollout {

// True where the text of a function lists NEW.* or OLD.*, in any of their spellings, among columns that it
// selects or inserts. Comparing them, or handing them to a function, is no copy.
bool copies_rows(std::string_view definition);

// An error of the user that names the trigger and its function, where one of the table's does.
Status check_row_copies(const schema::Catalog& catalog, const schema::Table& table);

}  // namespace poundlock::rollout
