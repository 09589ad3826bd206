// The reference pages as Markdown, rendered from the tables that the build generates. Pure.
#pragma once

#include <string>
#include <string_view>

#include "lint/rule.h"

namespace poundlock::reference {

std::string gates_page();
std::string lint_rules_page();  // the index of the pages below docs/rules
std::string lint_rule_page(const lint::Rule& rule);
std::string compared_page();  // docs/rules/compared.md
std::string operations_page();
std::string flag_operators_page();

// Text inside a table: a bar would end the cell, a line break the row.
std::string cell(std::string_view text);

}  // namespace poundlock::reference
