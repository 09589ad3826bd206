// CREATE INDEX, DROP INDEX and REINDEX: concurrently, each by itself.
#include <fmt/format.h>

#include "lint/transaction_rules.h"
#include "migration/effect.h"
#include "migration/safe_form.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

std::string inserted(const schema::Statement& statement, std::initializer_list<std::string_view> words,
                     std::string_view what) {
  std::string text = statement.text();
  const schema::ByteRange at = statement.words(words);
  if (at.end < text.size()) text.insert(at.end, what);
  return text;
}

void turn_create(const Turning& turning, const PgQuery__IndexStmt& index) {
  const schema::QualifiedName table = schema::name_of(*index.relation);
  const auto* known = turning.names.table(table);
  if (known != nullptr && known->kind == 'p' && index.relation->inh)
    return turning.out.decide(turning.statement,
                              "the table is partitioned: no index can be built concurrently on it",
                              {"create it ON ONLY the parent, build one on each partition concurrently, and "
                               "attach each with ALTER INDEX "
                               "... ATTACH PARTITION"});
  std::string what = index.concurrent ? "" : " CONCURRENTLY";
  const bool named = !schema::text_of(index.idxname).empty();
  std::string text =
      index.concurrent ? turning.statement.text() : inserted(turning.statement, {"INDEX"}, what);
  if (!named) {
    // A name of our choice, so that probe and repair know what they look for.
    const std::string name = " " + schema::quote_identifier(index_name(*turning.statement.node()));
    const auto tokens = schema::scan(text);
    if (tokens)
      if (const auto at = schema::find_words(text, *tokens, {"CONCURRENTLY"})) text.insert(at->end, name);
  }
  turning.out.add(std::move(text), fmt::format("build index {} on {} while writers go on",
                                               index_name(*turning.statement.node()), table.to_sql()));
  turning.out.pieces.back().rewritten = !index.concurrent;
}

void turn_drop(const Turning& turning, const PgQuery__DropStmt& drop) {
  if (drop.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
    return turning.out.decide(
        turning.statement, "CASCADE drops the foreign keys that rest on the index, in other tables too",
        {"drop those constraints by their own statements, then the index without CASCADE"});
  for (std::size_t i = 0; i < drop.n_objects; ++i) {
    const auto* list = schema::as<PgQuery__List>(drop.objects[i]);
    if (list == nullptr) continue;
    const auto name = schema::name_of(list->items, list->n_items);
    turning.out.add(
        fmt::format("DROP INDEX CONCURRENTLY {}{}", drop.missing_ok ? "IF EXISTS " : "", name.to_sql()));
    turning.out.pieces.back().phase = change::Phase::kContract;
    turning.out.pieces.back().rewritten = !drop.concurrent || drop.n_objects > 1;
  }
}

}  // namespace

void turn_index(const Turning& turning) {
  const PgQuery__Node* node = turning.statement.node();
  if (const auto* index = schema::as<PgQuery__IndexStmt>(node)) return turn_create(turning, *index);
  if (const auto* drop = schema::as<PgQuery__DropStmt>(node)) return turn_drop(turning, *drop);
  std::string text = turning.statement.text();
  const bool concurrent = lint::needs_no_transaction(turning.statement).concurrently;
  if (!concurrent) {
    for (const std::string_view kind : {"INDEX", "TABLE", "SCHEMA", "DATABASE", "SYSTEM"}) {
      const auto at = schema::find_words(text, turning.statement.tokens(), {kind});
      if (!at) continue;
      text.insert(at->end, " CONCURRENTLY");
      break;
    }
  }
  turning.out.add(std::move(text));
  turning.out.pieces.back().rewritten = !concurrent;
}

}  // namespace poundlock::migration
