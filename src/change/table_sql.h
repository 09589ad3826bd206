// SQL pieces that operations share: probes by catalog, table names, and look-ups in the catalog with
// errors that say what was expected. Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/yaml.h"
#include "change/step.h"
#include "schema/catalog.h"
#include "schema/expression.h"
#include "schema/identifier.h"

namespace poundlock::change {

std::string quoted_table(const schema::QualifiedName& table);  // always in quotes: "public"."orders"

// Each one SELECT that answers one boolean, without regard to search_path.
std::string column_probe(const schema::QualifiedName& table, std::string_view column, std::string_view type);
std::string column_absent_probe(const schema::QualifiedName& table, std::string_view column);
// `condition` on pg_attribute a of the column: "a.attnotnull".
std::string attribute_probe(const schema::QualifiedName& table, std::string_view column,
                            std::string_view condition);
// `condition` on pg_constraint k of that name; where there is none the probe is false.
std::string constraint_probe(const schema::QualifiedName& table, std::string_view name,
                             std::string_view condition);
std::string index_ready_probe(const schema::QualifiedName& table, std::string_view index);
std::string index_there_probe(const schema::QualifiedName& table, std::string_view index);
std::string index_invalid_probe(const schema::QualifiedName& table, std::string_view index);
std::string function_absent_probe(std::string_view quoted_name);

// The table that a rollout file names; kUser with place and suggestion where there is none, or where it is
// a view, a foreign table, a partition or a temporary table.
Result<const schema::Table*> find_table(const schema::Catalog& catalog, const std::string& text,
                                        const yaml::Node& where);
Result<const schema::Column*> find_column(const schema::Table& table, const std::string& text,
                                          const yaml::Node& where);
// The unquoted name of something new; kUser where it cannot be a name.
Result<std::string> new_name(const std::string& text, const yaml::Node& where);
Status check_column_free(const schema::Table& table, std::string_view name, const yaml::Node& where);
Status check_relation_free(const schema::Catalog& catalog, std::string_view schema, std::string_view name,
                           const yaml::Node& where);
// A type as SQL, qualified where the catalog knows it; refused: serial types, more than one type.
Result<std::string> check_type(const schema::Catalog& catalog, const std::string& text,
                               const yaml::Node& where);
// A constant; kUser with the reason where it is volatile, reads a column or calls a function.
Result<std::string> check_constant(const std::string& text, const yaml::Node& where);
// Moves an expression's error to its place in the file.
Error in_file(Error error, const yaml::Node& where, std::string_view what);

}  // namespace poundlock::change
