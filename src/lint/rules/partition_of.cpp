#include <fmt/format.h>

#include "lint/partitions.h"
#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The same partition made beside the table and then attached, which locks the table for no reader and no
// writer. LIKE takes over what ATTACH asks for; ATTACH builds the missing indexes, of which each is empty.
std::string rewritten(const Context& context, const PgQuery__CreateStmt& create,
                      const schema::QualifiedName& parent) {
  const schema::Statement& statement = context.statement;
  const bool plain = create.n_table_elts == 0 && create.partspec == nullptr && create.n_options == 0 &&
                     schema::text_of(create.tablespacename).empty() &&
                     schema::text_of(create.access_method).empty();
  if (!plain) return "";
  auto bound = schema::find_words(statement.text(), statement.tokens(), {"FOR", "VALUES"});
  if (!bound) bound = schema::find_words(statement.text(), statement.tokens(), {"DEFAULT"});
  if (!bound) return "";
  const std::string own = schema::name_of(*create.relation).to_sql();
  std::string attach = fmt::format("ALTER TABLE {} ATTACH PARTITION {} {}", parent.to_sql(), own,
                                   statement.slice({bound->begin, statement.text().size()}));
  const schema::Table* rest = create.partbound->is_default ? nullptr : read_default(context, parent);
  if (rest != nullptr) {
    attach = with_default_spared(context, *rest, {*create.partbound, statement, bound->begin},
                                 key_column(context.table(parent)), attach);
    if (attach.empty()) return "";
  } else {
    attach += ";";
  }
  return fmt::format(
      "CREATE TABLE {}{} (LIKE {} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS "
      "INCLUDING STORAGE INCLUDING COMPRESSION);\n{}",
      create.if_not_exists ? "IF NOT EXISTS " : "", own, parent.to_sql(), attach);
}

std::vector<Match> check(const Context& context) {
  const auto* create = schema::as<PgQuery__CreateStmt>(context.statement.node());
  if (create == nullptr || create->partbound == nullptr || create->n_inh_relations != 1) return {};
  const auto* relation = schema::as<PgQuery__RangeVar>(create->inh_relations[0]);
  if (relation == nullptr) return {};
  const schema::QualifiedName parent = schema::name_of(*relation);
  if (context.is_new(parent)) return {};
  return {{context.statement.words({"PARTITION", "OF"}), "of " + table_text(parent),
           rewritten(context, *create, parent)}};
}

}  // namespace

const Rule& partition_of() {
  static const Rule rule{
      .id = "partition_of",
      .title = "a partition is made in place",
      .reason =
          "CREATE TABLE ... PARTITION OF takes ACCESS EXCLUSIVE on the parent: nobody reads or writes any of "
          "its partitions, behind the longest transaction that uses one. Where there is a default partition, "
          "that is locked and read to its end as well.",
      .fix =
          "Make the table by itself with LIKE, then ATTACH PARTITION, which lets everybody use the parent. A "
          "validated CHECK on the default partition that excludes the new range saves reading it.",
      .bad =
          {"CREATE TABLE events_2027 PARTITION OF events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');",
           "CREATE TABLE \"Events Rest\" PARTITION OF events DEFAULT;"},
      .good = {"CREATE TABLE events_2027 (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);\n"
               "ALTER TABLE events ATTACH PARTITION events_2027 FOR VALUES FROM ('2027-01-01') TO "
               "('2028-01-01');",
               "CREATE TABLE logs (at date) PARTITION BY RANGE (at);\n"
               "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
