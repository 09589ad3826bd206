// A key, unique constraint or index that is replaced under its own name: the new one is built while the old
// one still stands, and takes its place in one short transaction.
#include <fmt/format.h>

#include <algorithm>

#include "change/table_sql.h"
#include "migration/effect_probe.h"
#include "migration/span_plan.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::quote_identifier;

// A name that is free, for an index that is renamed or goes away again.
std::string free_name(const Turning& turning, const std::string& schema, const std::string& base,
                      const char* role) {
  const NameBook book = book_of(turning);
  const std::string wanted = schema::derive_name({base, role});
  std::string name = wanted;
  for (int number = 1; number < 1000 && book.relation_taken({schema, name}); ++number)
    name = schema::derive_name({wanted + std::to_string(number)});
  return name;
}

// The name stands before the first ON that is in no brackets.
std::string renamed(const schema::Statement& statement, const std::string& name) {
  std::string text = statement.text();
  const schema::Token* before = nullptr;
  for (const auto& token : statement.tokens()) {
    if (before != nullptr && schema::equals_ignoring_case(statement.slice(token.range), "ON")) {
      text.replace(before->range.begin, before->range.size(), quote_identifier(name));
      return text;
    }
    before = &token;
  }
  return text;
}

// Where its text names no function, operator or type it reads the same under any search_path.
bool is_steady(const schema::Index& index) {
  return !index.definition.empty() && index.predicate.empty() &&
         std::ranges::find(index.columns, "") == index.columns.end();
}

}  // namespace

std::string index_beside(const Turning& turning, const schema::QualifiedName& table,
                         const std::string& name) {
  return free_name(turning, turning.names.resolve(table).schema, name, "new");
}

std::string replaced_probe(const schema::QualifiedName& table, const std::string& name,
                           const schema::Constraint& old) {
  const bool same_name = name == old.name;
  return change::constraint_probe(table, name,
                                  same_name ? fmt::format("pg_catalog.pg_get_constraintdef(k.oid) <> {}",
                                                          schema::quote_literal(old.definition))
                                            : "true");
}

SafeForm replaced_key(const schema::Statement& on, const Names& names, const schema::Constraint& old) {
  SafeForm out;
  turn_constraint({on, names, out, &old});
  if (!out.unsure_name) return out;
  SafeForm unsure;
  unsure.decide(on, "what it makes has no name, and PostgreSQL may give it another one than the steps would",
                {"give it a name"});
  return unsure;
}

SafeForm replaced_index(const schema::Statement& on, const Names& names, const schema::Table& table,
                        const schema::Index& old) {
  SafeForm out;
  const Turning turning{on, names, out};
  const std::string fresh = free_name(turning, table.schema, old.name, "new");
  const std::string former = free_name(turning, table.schema, old.name, "old");
  std::string build = renamed(on, fresh);
  if (const auto tokens = schema::scan(build);
      tokens && !schema::as<PgQuery__IndexStmt>(on.node())->concurrent)
    if (const auto at = schema::find_words(build, *tokens, {"INDEX"})) build.insert(at->end, " CONCURRENTLY");
  const auto quoted = [&](const std::string& name) { return change::quoted_table({table.schema, name}); };
  // Behind the exchange, and behind the last drop of all.
  std::string exchanged =
      both(relation_probe({table.schema, former}), relation_probe({table.schema, old.name}));
  if (is_steady(old))
    exchanged = fmt::format(
        "SELECT ({}) OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indexrelid = "
        "pg_catalog.to_regclass({}) AND i.indisvalid AND pg_catalog.pg_get_indexdef(i.indexrelid) <> {})",
        exchanged, schema::quote_literal(quoted(old.name)), schema::quote_literal(old.definition));
  out.add(std::move(build),
          fmt::format("build the new {} beside the old one, while writers go on", old.name));
  out.pieces.back().or_probe = exchanged;
  out.add(fmt::format("ALTER INDEX {} RENAME TO {}", quoted(old.name), quote_identifier(former)));
  out.pieces.back().alone = out.pieces.back().proven = true;
  out.pieces.back().probe = exchanged;
  out.add(fmt::format("ALTER INDEX {} RENAME TO {}", quoted(fresh), quote_identifier(old.name)));
  out.pieces.back().joined = out.pieces.back().proven = true;
  out.pieces.back().probe = exchanged;
  out.add(fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}", quoted(former)));
  out.pieces.back().phase = change::Phase::kContract;
  out.notes.push_back(fmt::format(
      "index {} is replaced: the new one is built beside it, both change names in one short transaction, and "
      "the old one goes in the contract phase",
      quoted(old.name)));
  return out;
}

}  // namespace poundlock::migration
