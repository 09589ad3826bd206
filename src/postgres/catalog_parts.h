// The queries behind schema::Catalog::parts, and the filters that they share with those of the catalog.
// Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace poundlock::postgres {

// Schemas of people: not the system's, not temporary, and where asked for, only these ($1 is an array).
inline constexpr std::string_view kSchemaFilter =
    "n.nspname !~ '^pg_(catalog|toast|temp_|toast_temp_)' AND n.nspname <> 'information_schema' "
    "AND (pg_catalog.cardinality($1::text[]) = 0 OR n.nspname = ANY ($1::text[]))";

// " AND ...": the object is no member of an extension.
std::string no_extension(std::string_view catalog, std::string_view oid);

// Each answers kind, name, of_kind, of and definition; $1 as in kSchemaFilter. PostgreSQL 12 and later.
std::vector<std::string> part_queries();
std::string partition_query();                   // the one of them about partition trees and their bounds
std::vector<std::string> environment_queries();  // the rest of them, in catalog_environment.cpp

}  // namespace poundlock::postgres
