// The order of a plan around its drops, which wait for the contract phase: what uses an object that is
// dropped and made again has to wait with them. One script, one thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "migration/reading.h"

namespace poundlock::migration {

// The names, without their schema, of what a DROP takes away.
std::set<std::string> dropped_names(const schema::Statement& statement);

// Does the statement name one of them anywhere?
bool names_any(const schema::Statement& statement, const std::set<std::string>& names);

// `entry`, which comes behind `entries`, waits for a drop of its own transaction, because it makes again what
// that takes away: the author's transaction stays one, so that nobody finds neither.
void keep_together(std::vector<Entry>& entries, const schema::Statement& statement, Entry& entry);

// The statement that has copied rows out of what `drop` takes away; "": none. What is written there between
// that copy and the contract would be lost.
std::string copied_before(const std::vector<Entry>& entries, const Entry& drop);

class BehindDrops {
 public:
  // A piece of the contract. What it drops or makes, whoever names it has to stay behind it: be it a grant, a
  // comment or the object of the same name that the script makes anew.
  void add(const schema::Statement& statement, const Entry& entry, const Names& names);
  // `names` as they are before the statement.
  bool must_follow(const schema::Statement& statement, const Entry& entry, const Names& names) const;

 private:
  void add_names(const schema::Statement& statement, const Entry& entry);
  bool names_one(const schema::Statement& statement) const;
  bool reads_one(const schema::Statement& statement, const Names& names) const;

  std::vector<schema::QualifiedName> subjects_;  // what pieces of the contract are about
  std::set<std::string> words_;                  // the names that they drop or make, without their schema
};

}  // namespace poundlock::migration
