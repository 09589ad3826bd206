// CREATE INDEX of a partitioned table, which cannot be built concurrently as one: an index of the parent
// alone, which is invalid at first, one built concurrently on each partition, each attached. PostgreSQL makes
// the parent's valid with the last of them (validatePartitionedIndex in its tablecmds.c).
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "change/table_sql.h"
#include "migration/effect.h"
#include "migration/safe_form.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::QualifiedName;
using schema::quote_identifier;
using schema::text_of;

// Deeper than anybody nests partitions; a tree that a damaged catalog makes circular ends here.
constexpr int kLevelsMax = 16;

class PartitionedIndex {
 public:
  PartitionedIndex(const Turning& turning, const PgQuery__IndexStmt& index)
      : turning_(turning), index_(index), unique_(index.unique ? "UNIQUE " : ""), book_(book_of(turning)) {
    const auto& statement = turning.statement;
    const auto name = statement.name_at(static_cast<std::size_t>(std::max(0, index.relation->location)));
    tail_ = statement.text().substr(name.end);
    const auto star = tail_.find_first_not_of(" \t\r\n");
    if (star != std::string::npos && tail_[star] == '*') tail_ = " " + tail_.substr(star + 1);
    for (const auto& one : turning.names.catalog()->tables)
      if (!one.partition_of.name.empty())
        partitions_[{one.partition_of.schema, one.partition_of.name}].push_back(&one);
  }

  // Why it takes a person; "": nothing is in the way.
  std::string in_the_way(const schema::Table& table, int level = 0) const {
    if (level == kLevelsMax) return "its partitions are nested too deeply";
    for (const schema::Table* partition : of(table)) {
      const std::string name = partition->qualified().to_sql();
      if (partition->kind == 'f')
        return fmt::format("its partition {} is a foreign table, which has no index", name);
      // Which of them PostgreSQL would take in place of a new one depends on every property of both.
      for (const auto& known : partition->indexes)
        if (known.columns == key_columns(index_))
          return fmt::format("index {} of its partition {} may be taken in place of a new one", known.name,
                             name);
      if (std::string why = in_the_way(*partition, level + 1); !why.empty()) return why;
    }
    return "";
  }

  void add(const schema::Table& table, const std::string& name) {
    const auto& partitions = of(table);
    add_parent(table, name);
    for (const schema::Table* partition : partitions) {
      const std::string own = name_on(*partition);
      if (partition->kind == 'p')
        add(*partition, own);
      else
        add_piece(
            create(*partition, own, "CONCURRENTLY ", ""),
            fmt::format("build index {} on {} while writers go on", own, partition->qualified().to_sql()));
      add_attach(table, name, *partition, own, partition == partitions.back());
    }
  }

 private:
  using Name = std::pair<std::string, std::string>;

  const std::vector<const schema::Table*>& of(const schema::Table& table) const {
    static const std::vector<const schema::Table*> kNone;
    const auto found = partitions_.find({table.schema, table.name});
    return found == partitions_.end() ? kNone : found->second;
  }

  std::string create(const schema::Table& table, const std::string& name, std::string_view how,
                     std::string_view only) const {
    return fmt::format("CREATE {}INDEX {}{} ON {}{}{}", unique_, how, quote_identifier(name), only,
                       table.qualified().to_sql(), tail_);
  }

  // As PostgreSQL names the index of a partition, whatever the parent's is called.
  std::string name_on(const schema::Table& partition) const {
    const auto unnamed =
        schema::parse_statement(fmt::format("CREATE INDEX ON {}{}", partition.qualified().to_sql(), tail_));
    if (!unnamed) return schema::derive_name({partition.name, "idx"});
    return chosen(turning_, book_.index(*unnamed->node()->index_stmt, partition.qualified()));
  }

  void add_piece(std::string sql, std::string title) {
    // Names that are given from here on must not meet this one: book_of() would read all pieces each time.
    if (const auto statement = schema::parse_statement(sql)) book_.after(*statement, turning_.names);
    turning_.out.add(std::move(sql), std::move(title));
  }

  void add_parent(const schema::Table& table, const std::string& name) {
    add_piece(create(table, name, "", "ONLY "),
              fmt::format("make index {} of {}, without its partitions", name, table.qualified().to_sql()));
    Piece& piece = turning_.out.pieces.back();
    piece.alone = piece.proven = true;
  }

  // Nothing detaches an index: with the parent's index those go that were attached, and what is taken back
  // behind it finds them gone.
  void add_attach(const schema::Table& table, const std::string& name, const schema::Table& partition,
                  const std::string& own, bool last) {
    const QualifiedName parent{table.schema, name};
    add_piece(fmt::format("ALTER INDEX {} ATTACH PARTITION {}", parent.to_sql(),
                          QualifiedName{partition.schema, own}.to_sql()),
              fmt::format("attach {} to {}", own, name));
    Piece& piece = turning_.out.pieces.back();
    piece.alone = piece.proven = true;
    piece.undo = "DROP INDEX IF EXISTS " + change::quoted_table(parent);
    // A partition that came meanwhile has no index: the parent's then stays invalid, which must not pass.
    if (last) piece.and_probe = change::index_ready_probe(table.qualified(), name);
  }

  const Turning& turning_;
  const PgQuery__IndexStmt& index_;
  std::string unique_;
  NameBook book_;     // with the names of the pieces so far
  std::string tail_;  // what stands behind the table: USING, the columns, WITH, WHERE
  std::map<Name, std::vector<const schema::Table*>> partitions_;
};

}  // namespace

void turn_partitioned_index(const Turning& turning, const schema::Table& table) {
  const auto& index = *turning.statement.node()->index_stmt;
  PartitionedIndex turned(turning, index);
  if (const std::string why = turned.in_the_way(table); !why.empty())
    return turning.out.decide(
        turning.statement,
        fmt::format("the table is partitioned: no index can be built concurrently on it as one, and {}", why),
        {"create it ON ONLY the parent, build one on each partition concurrently, and attach each with ALTER "
         "INDEX ... ATTACH PARTITION"});
  turned.add(table, chosen(turning, book_of(turning).index(index, table.qualified())));
}

}  // namespace poundlock::migration
