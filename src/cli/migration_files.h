// Files and folders of migrations, as what their tools would run: in order, undo scripts left out. One
// thread.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "engine/dry_run.h"
#include "migration/source.h"
#include "schema/catalog.h"

namespace poundlock::cli {

// Folders stand for the .sql files below them: Flyway's in the order of their versions, repeatable ones
// last, others by name. "-" is standard input. kUser with the place of what does not parse.
Result<std::vector<migration::Source>> read_migrations(const Context& context,
                                                       const std::vector<std::string>& files);
Result<std::vector<engine::Script>> scripts_of(const std::vector<migration::Source>& sources);

// Tables of the catalog that the scripts name, also through an index.
std::vector<schema::QualifiedName> tables_of_scripts(const std::vector<engine::Script>& scripts,
                                                     const schema::Catalog& catalog);

// Flyway's migrations that the shadow's flyway_schema_history has already.
Status leave_out_applied(engine::ShadowUse& shadow, std::vector<engine::Script>& scripts);

}  // namespace poundlock::cli
