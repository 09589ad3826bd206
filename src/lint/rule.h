// The contract of a lint rule. Each file src/lint/rules/x_y.cpp defines `const Rule& x_y();`, and CMake
// gathers them into all_rules(): to add a rule is to add one file. Its texts and examples are its
// documentation and its test (rules_test.cpp): every bad example must fire it, no good one may.
// Rules are constant and their checks are pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lint/context.h"

namespace poundlock::lint {

enum class Severity {
  kError,    // an outage, lost data or a statement that PostgreSQL refuses: the exit code is 1
  kWarning,  // a cost or a habit that a person should look at
};
const char* to_string(Severity severity);  // "error", "warning"

// One place in the statement that breaks the rule.
struct Match {
  schema::ByteRange range;  // in the statement's text
  std::string detail;       // what it is here: "index orders_status_idx on orders"
  // SQL that does the same safely: whole statements that stand in for the whole statement of the script, the
  // other actions of an ALTER TABLE among them. Where several matches have one, put the first in place and
  // lint the result again. An UPDATE in it is a backfill: to be run in batches. "" where it takes thought.
  std::string rewrite;
  bool lesser = false;       // a warning, also where the rule's severity is error: little can happen here
  std::string subject = {};  // the bare name that it is about, where another file of the run may make it
};

struct Rule {
  std::string_view id;  // the name of its file and function
  Severity severity = Severity::kError;
  std::string_view title;             // what is wrong, in a few words
  std::string_view reason;            // what happens if it runs anyway
  std::string_view fix;               // what to do instead
  std::vector<std::string_view> bad;  // whole scripts
  std::vector<std::string_view> good;
  std::vector<Match> (*check)(const Context& context) = nullptr;
  bool once = false;      // report the first place in a script only
  Options examples = {};  // how the examples are run, for a rule about a runner's files
};

std::span<const Rule* const> all_rules();    // in the order of their ids; generated
const Rule* find_rule(std::string_view id);  // nullptr: there is none

}  // namespace poundlock::lint
