// Reads a migration script and says what in it would hurt a live database, with the reason and the way
// that does not. Whole scripts: transactions, time-outs and tables made earlier count.
// Pure; thread-safe. A script that PostgreSQL's grammar refuses is a finding of rule "syntax", not an error.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lint/rule.h"

namespace poundlock::lint {

inline constexpr std::size_t kFindingsMax = 1'000;

struct Finding {
  std::string rule;
  Severity severity = Severity::kError;
  std::string title;
  std::string file;
  int line = 1;  // of the offending text; from 1, columns in characters
  int column = 1;
  int end_line = 1;
  int end_column = 1;       // behind its last character
  std::string text;         // the offending text
  std::string source_line;  // the whole first line that it stands on
  std::string detail;       // what it is here; may be empty
  std::string reason;
  std::string fix;
  std::string rewrite;  // SQL that does the same safely; may be empty
};

// A finding that a comment `-- poundlock: ignore RULE reason` took back: shown, never hidden.
struct Ignored {
  Finding finding;
  std::string why;
};

struct Report {
  std::string file;
  std::size_t statements = 0;
  std::vector<Finding> findings;  // by place
  std::vector<Ignored> ignored;
  bool truncated = false;  // more than kFindingsMax
  std::size_t errors() const;
  std::size_t warnings() const { return findings.size() - errors(); }
};

// The comment stands before its statement, inside it, or behind it on the same line; several rules with
// commas; the reason is required. Findings of the framework itself: "syntax", "ignore_comment".
Report lint(std::string_view sql, std::string file, const Options& options = {});

}  // namespace poundlock::lint
