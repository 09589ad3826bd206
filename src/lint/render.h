// Reports as people and machines read them. Pure; thread-safe. All bytes that come from the script are
// escaped for their format, control characters too: a migration file cannot write to the terminal.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "lint/lint.h"

namespace poundlock::lint {

// For a terminal: place, rule, the source line with the offending text underlined, why, what instead.
std::string render_text(std::span<const Report> reports, bool colour);

// "0.4 s", "12 s", "4 min", "3 h": no more digits than an estimate has.
std::string duration_text(double seconds);

// [{"file", "line", "column", "end_line", "end_column", "rule", "severity", "message", "fix", "text",
// "title", "detail", "reason", "rewrite"}], and "seconds" with its "basis" where they are known: the findings
// that count.
std::string render_json(std::span<const Report> reports);

// SARIF 2.1.0 (OASIS), columns in code points: one run with all rules; ignored findings are suppressed
// results with their justification.
std::string render_sarif(std::span<const Report> reports, std::string_view version);

// JUnit's XML: a test suite for each file, a test case for each rule, failed where it has findings.
std::string render_junit(std::span<const Report> reports);

}  // namespace poundlock::lint
