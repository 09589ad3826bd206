// Files and folders of migrations, as what their tools would run: in order, undo scripts left out. One
// thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "engine/dry_run.h"
#include "migration/source.h"
#include "schema/catalog.h"

namespace poundlock::cli {

bool is_sql_name(const std::string& file);  // .sql, in letters of either case

// The files below `folder` that `takes` says yes to, as named from the working directory, in the order of
// their names. kUser `code` where the folder cannot be read, or holds more than 10,000 such files.
Result<std::vector<std::string>> files_below(const Context& context, const std::string& folder,
                                             std::string_view code,
                                             const std::function<bool(const std::string& file)>& takes);

// FILE.conf, which Flyway reads beside it; nullopt: there is none.
Result<std::optional<std::string>> script_configuration(const Context& context, const std::string& file);

// Folders stand for the .sql files below them, without undo scripts and Flyway's baselines, which are run on
// request only: of x.up.sql and x.down.sql, or of a file with both parts, the first. Those with a number in
// front come in its order within their folder. Flyway's come in the order of their versions, repeatable ones
// last of them, wherever they were named (a shell's * gives V10 before V2); others keep their place. "-" is
// standard input. Their SQL is what the grammar can read. kUser "migration.encoding" as utf8_text() says;
// "migration.psql" with the place of what only psql or the tool can resolve: an included file, a variable, a
// placeholder, COPY's data.
Result<std::vector<migration::Source>> read_migrations(const Context& context,
                                                       const std::vector<std::string>& files);
Result<std::vector<engine::Script>> scripts_of(const std::vector<migration::Source>& sources);

// Tables and views of the catalog that the scripts name, also through an index.
std::vector<schema::QualifiedName> tables_of_scripts(const std::vector<engine::Script>& scripts,
                                                     const schema::Catalog& catalog);

// Flyway's migrations that the shadow's flyway_schema_history has already.
Status leave_out_applied(engine::ShadowUse& shadow, std::vector<engine::Script>& scripts);

}  // namespace poundlock::cli
