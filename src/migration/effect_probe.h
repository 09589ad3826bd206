// The probes of effects: one SELECT of one boolean each, without regard to search_path. A probe has to tell
// what the statement makes from something else of that name: what it takes for done is never run.
// Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "schema/identifier.h"

struct PgQuery__TypeName;

namespace poundlock::migration {

// A row of `catalog` whose `name` column is this and whose namespace is that; `more` is on it as o.
std::string named_probe(std::string_view catalog, std::string_view prefix, const schema::QualifiedName& name,
                        std::string_view more = "");
std::string type_probe(const schema::QualifiedName& name, std::string_view more = "");
std::string simple_probe(std::string_view catalog, std::string_view column, std::string_view name);
std::string negated(const std::string& probe);
// Something that belongs to a table: a trigger, a policy; `more` is on it as o.
std::string on_table_probe(std::string_view catalog, std::string_view prefix,
                           const schema::QualifiedName& table, std::string_view name,
                           std::string_view more = "");
// "SELECT (a) AND (b)"; either may be empty.
std::string both(const std::string& a, const std::string& b);
// SELECT EXISTS of a relation, type, ... of this name.
std::string relation_probe(const schema::QualifiedName& name, std::string_view more = "");
// Is the type with the oid `oid` called so? The schema of a type is found through search_path, which a probe
// must not depend on: the name alone decides.
std::string is_type(std::string_view oid, const PgQuery__TypeName& type);

}  // namespace poundlock::migration
