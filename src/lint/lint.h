// Reads a migration script and says what in it would hurt a live database, with the reason and the way
// that does not. Whole scripts: transactions, time-outs and tables made earlier count.
// Pure; thread-safe. A script that PostgreSQL's grammar refuses is a finding of rule "syntax", not an error.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
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
  // With a catalog: how long the statement holds its lock while it works through the table. An estimate.
  std::optional<double> seconds;
  std::string basis;      // of the estimate: "rewrite of 4.0 GB at 60 MB/s, under ACCESS EXCLUSIVE on orders"
  std::string subject;    // "unknown_name" alone: the bare name that the database does not have
  std::string statement;  // "syntax" and "too_large" alone: all of it, for the server's parser; may be empty
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
  // With options.relations: the names that it makes, drops or renames; may it have made others, too?
  std::set<std::string, std::less<>> names;
  bool opaque = false;
  bool truncated = false;  // more than kFindingsMax: the last finding is "too_many"
  std::size_t errors() const;
  std::size_t warnings() const { return findings.size() - errors(); }
};

// The comment stands before its statement, inside it, or behind it on the same line; several rules with
// commas; the reason is required. What the framework finds by itself: lint/framework.h.
Report lint(std::string_view sql, std::string file, const Options& options = {});

// Of the files of one run, in order: takes back that a name is unknown where another file makes it or took it
// away, or a file before may have made it.
void settle_names(std::span<Report> reports);

}  // namespace poundlock::lint
