#include "migration/partition_locks.h"

#include <fmt/format.h>

#include "lint/context.h"
#include "lint/partitions.h"
#include "schema/tree.h"

namespace poundlock::migration {

using lint::LockMode;
using lint::Work;
using schema::as;
using schema::QualifiedName;

std::optional<PartitionLock> PartitionLocks::of(const schema::Statement& statement,
                                                const Names& names) const {
  if (names.catalog() == nullptr) return std::nullopt;
  if (const auto* create = as<PgQuery__CreateStmt>(statement.node())) {
    if (create->partbound == nullptr || create->n_inh_relations == 0) return std::nullopt;
    const auto* parent = as<PgQuery__RangeVar>(create->inh_relations[0]);
    return parent == nullptr ? std::nullopt : of_attach(schema::name_of(*parent), names, true);
  }
  if (statement.kind() == schema::StatementKind::kDrop) return of_drop(statement, names);
  std::optional<PartitionLock> out;
  lint::each_action(statement, [&](const lint::Action& action) {
    const auto* command = as<PgQuery__PartitionCmd>(action.command.def);
    if (command == nullptr || command->name == nullptr) return;
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition && !command->concurrent) {
      const auto* parent = names.table(action.table);
      const auto* rest = parent == nullptr ? nullptr : lint::default_partition(*names.catalog(), *parent);
      if (rest != nullptr)
        out = {{LockMode::kAccessExclusive, Work::kCatalogOnly, parent->qualified()},
               fmt::format("{} locks the default partition {} as it locks the parent: ACCESS EXCLUSIVE",
                           statement.text(), rest->qualified().to_sql())};
    }
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition) return;
    // One that is full of rows is locked and read itself, as its own lock says.
    auto attached = of_attach(action.table, names, false);
    const auto* rest = attached ? names.catalog()->table(attached->lock.relation) : nullptr;
    const auto* child = names.table(schema::name_of(*command->name));
    const auto bytes = [&](const schema::Table* table) {
      return table == nullptr ? 0 : lint::bytes_of(*names.catalog(), *table);
    };
    const bool fresh = names.is_new(schema::name_of(*command->name));
    if (attached && (fresh || bytes(rest) >= bytes(child))) out = std::move(attached);
  });
  return out;
}

std::optional<PartitionLock> PartitionLocks::of_attach(const QualifiedName& written, const Names& names,
                                                       bool in_place) const {
  const auto* parent = names.table(written);
  if (parent == nullptr || names.is_new(written) || parent->kind != 'p') return std::nullopt;
  const auto* rest = lint::default_partition(*names.catalog(), *parent);
  const LockMode of_parent = in_place ? LockMode::kAccessExclusive : LockMode::kShareUpdateExclusive;
  if (rest == nullptr) return PartitionLock{{of_parent, Work::kCatalogOnly, parent->qualified()}, ""};
  const bool spared = spared_.contains(rest->qualified());
  return PartitionLock{
      {LockMode::kAccessExclusive, spared ? Work::kCatalogOnly : Work::kScan, rest->qualified()},
      fmt::format("a new partition of {} locks its default partition {} with ACCESS EXCLUSIVE{}",
                  parent->qualified().to_sql(), rest->qualified().to_sql(),
                  spared
                      ? "; from the CHECK on it to the end of the attachment, rows that belong into the new "
                        "partition are refused"
                      : ", and reads all of it unless a CHECK on it excludes the new bounds")};
}

std::optional<PartitionLock> PartitionLocks::of_drop(const schema::Statement& statement,
                                                     const Names& names) const {
  const auto* drop = as<PgQuery__DropStmt>(statement.node());
  if (drop == nullptr || drop->remove_type != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE) return std::nullopt;
  for (std::size_t i = 0; i < drop->n_objects; ++i) {
    const auto* list = as<PgQuery__List>(drop->objects[i]);
    const auto* table = list == nullptr ? nullptr : names.table(schema::name_of(list->items, list->n_items));
    if (table == nullptr || !table->is_partition || detached_.contains(table->qualified())) continue;
    const auto* parent = names.catalog()->table(table->partition_of);
    if (parent == nullptr) continue;
    const auto* rest = lint::default_partition(*names.catalog(), *parent);
    return PartitionLock{
        {LockMode::kAccessExclusive, Work::kCatalogOnly, parent->qualified()},
        fmt::format(
            "the drop of {}, which is attached, locks {}{} with ACCESS EXCLUSIVE, too: detach it first",
            table->qualified().to_sql(), parent->qualified().to_sql(),
            rest == nullptr || rest == table ? "" : " and " + rest->qualified().to_sql())};
  }
  return std::nullopt;
}

void PartitionLocks::after(const schema::Statement& statement, const Names& names) {
  lint::each_action(statement, [&](const lint::Action& action) {
    const auto* command = as<PgQuery__PartitionCmd>(action.command.def);
    const bool detaches = action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition;
    if (detaches && command != nullptr && command->name != nullptr)
      detached_.insert(names.resolve(schema::name_of(*command->name)));
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint)
      spared_.insert(names.resolve(action.table));
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint)
      spared_.erase(names.resolve(action.table));
  });
}

}  // namespace poundlock::migration
