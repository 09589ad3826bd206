// The plan's tables and columns as values for a question's parameters. Pure, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "schema/identifier.h"

namespace poundlock::rollout {

// A text[] in PostgreSQL's own form: {"a","b \"c\""}. Bound as a parameter, never spliced into SQL.
std::string text_array(const std::vector<std::string>& values);

// Every table that holds a column of either side, each once.
std::vector<schema::QualifiedName> tables_of(const Plan& plan);

// Two parameters: the schemas and the names of tables_of().
std::vector<std::optional<std::string>> table_params(const Plan& plan);

// A cell as a number; nullopt for NULL and for what is no number ("NaN" too: it is nobody's measure).
std::optional<double> number_in(const std::optional<std::string>& cell);

// The plan's steps that keep rows in step: what verify and sampling check. Empty for an additive change.
std::vector<change::InStep> in_steps_of(const Plan& plan);

// Names behind a number, for a person: the first few and how many more.
std::string name_list(const std::vector<std::string>& names, std::size_t shown = 5);

}  // namespace poundlock::rollout
