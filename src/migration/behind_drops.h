// The order of a plan around its drops, which wait for the contract phase: what uses an object that is
// dropped and made again has to wait with them. One script, one thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "migration/reading.h"
#include "migration/words.h"

namespace poundlock::migration {

// The names, without their schema, of what a DROP takes away.
std::set<std::string> dropped_names(const schema::Statement& statement);

// `entry`, which comes behind `entries`, waits for a drop of its own transaction, because it makes again what
// that takes away: the author's transaction stays one, so that nobody finds neither.
void keep_together(std::vector<Entry>& entries, const Words& words, Entry& entry);

class BehindDrops {
 public:
  // A piece of the contract. What it drops or makes, whoever names it has to stay behind it: be it a grant, a
  // comment or the object of the same name that the script makes anew.
  void add(const schema::Statement& statement, const Entry& entry, const Names& names);
  // `names` as they are before the statement.
  bool must_follow(const schema::Statement& statement, const Words& words, const Entry& entry,
                   const Names& names) const;

 private:
  void add_names(const schema::Statement& statement, const Entry& entry);
  bool reads_one(const schema::Statement& statement, const Names& names) const;

  std::set<schema::QualifiedName> subjects_;  // what pieces of the contract are about
  Words words_;                               // the names that they drop or make, without their schema
};

}  // namespace poundlock::migration
