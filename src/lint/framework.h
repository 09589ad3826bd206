// What the linter says by itself, beside its rules: of the file, of the text, of the comments. Named,
// explained and configured as rules are. Pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "lint/lint.h"

namespace poundlock::lint {

struct FrameworkRule {
  std::string_view id;
  Severity severity = Severity::kError;
  std::string_view title, reason, fix;
};

std::span<const FrameworkRule> framework_rules();
const FrameworkRule* find_framework_rule(std::string_view id);  // nullptr: there is none

// A finding of the rule of that id, which must exist, without a place.
Finding framework_finding(std::string_view id, std::string detail = "");

// Of a file that cannot be looked at as a whole: at the error's place, or at the file's beginning.
Finding file_finding(std::string_view id, std::string file, const Error& error);

// The id of a rule or of a framework rule that is nearest to the misspelt one; "" where none is near.
std::string_view nearest_rule(std::string_view id);

}  // namespace poundlock::lint
