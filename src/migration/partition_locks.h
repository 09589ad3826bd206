// What a statement about partitions locks beside the table that it names: the parent, and the default
// partition, which PostgreSQL locks away from everybody while another partition comes or is dropped.
// One script, one thread.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "lint/locks.h"
#include "migration/names.h"
#include "schema/sql.h"

namespace poundlock::migration {

struct PartitionLock {
  lint::LockInfo lock;  // of the table whose users wait longest; resolved
  std::string note;     // the others
};

class PartitionLocks {
 public:
  // nullopt: the statement's own lock tells all. `names` as they are before it.
  std::optional<PartitionLock> of(const schema::Statement& statement, const Names& names) const;
  // What is detached is a table of its own for the statements behind.
  void after(const schema::Statement& statement, const Names& names);

 private:
  std::optional<PartitionLock> of_drop(const schema::Statement& statement, const Names& names) const;
  std::optional<PartitionLock> of_attach(const schema::QualifiedName& parent, const Names& names,
                                         bool in_place) const;

  std::set<schema::QualifiedName> detached_;
  std::set<schema::QualifiedName> spared_;  // default partitions with a CHECK that the script has validated
};

}  // namespace poundlock::migration
