// The names that a script makes and takes away, so that a name which the database does not have can be told
// from one that an earlier statement gives it. Bare names: in doubt a name is known.
// Made once for each call to lint(); constant then, thread-safe. One pass over the script.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lint/context.h"
#include "lint/undone.h"

namespace poundlock::lint {

class ScriptNames {
 public:
  // Keeps a reference to `undone`. Without options.relations it looks at nothing.
  ScriptNames(const schema::Script& script, const Options& options, const Undone& undone);

  // A relation, column, index or constraint: by that statement or by an earlier one.
  bool makes(std::string_view name, std::size_t statement) const;
  // Has an earlier statement run what cannot be read from here: a DO block, a function of the database's own,
  // an extension? Or given an index or constraint a name that PostgreSQL chooses?
  bool opaque_before(std::size_t statement) const { return opaque_ < statement; }
  bool unnamed_before(std::size_t statement) const { return unnamed_ < statement; }
  std::vector<std::string_view> made() const;
  // The database's tables that the name can mean: those of its schema, or of any where it is written without.
  std::vector<const schema::Table*> meant(const schema::QualifiedName& name) const;
  // Those that it makes, drops or renames.
  const std::set<std::string, std::less<>>& touched() const { return touched_; }

 private:
  void add(const schema::Statement& statement, std::size_t index, const Options& options);
  void make(std::string_view name, std::size_t index);
  void rename(const schema::Statement& statement, std::size_t index);

  const Undone& undone_;
  std::map<std::string, std::vector<std::size_t>, std::less<>> made_;
  std::set<std::string, std::less<>> touched_;
  std::map<std::string_view, std::vector<const schema::Table*>, std::less<>> tables_;
  std::size_t opaque_ = kNever;  // the first such statement
  std::size_t unnamed_ = kNever;
};

}  // namespace poundlock::lint
