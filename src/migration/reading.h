// Reads the statements of migration files in order, and turns each into pieces that know which transaction of
// their author they belong to. One script after the other, one thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "lint/locks.h"
#include "migration/effect.h"
#include "migration/safe_form.h"

namespace poundlock::migration {

// A piece with what is known of it.
struct Entry {
  Piece piece;
  std::string file;
  int line = 1;
  std::size_t transaction = 0;       // the author's
  std::vector<std::string> prelude;  // SET statements that hold for it
  schema::StatementKind kind = schema::StatementKind::kOther;
  lint::LockInfo lock;  // relation resolved; none where the table is new
  schema::QualifiedName subject;
  Effect effect;
  std::vector<std::string> columns;  // of an INSERT
  bool standalone = false;
  bool of_new = false;  // it is about what the script has made alone: that goes with it
  std::vector<change::ColumnRef> dropped;
  std::set<std::string> drops;  // the names, without their schema, of what a DROP takes away
  bool left_out = false;        // it became a decision by what stands behind it
};

struct Reading {
  std::vector<Entry> entries;  // in the order of the files
  std::vector<Decision> decisions;
  std::vector<std::string> notes;
};

// Errors (kUser) with their place.
Result<Reading> read_statements(std::span<const Source> sources, Names& names);

}  // namespace poundlock::migration
