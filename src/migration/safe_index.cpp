// CREATE INDEX, DROP INDEX and REINDEX: concurrently, each by itself.
#include <fmt/format.h>

#include "lint/transaction_rules.h"
#include "migration/effect.h"
#include "migration/safe_form.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

std::string inserted(std::string text, std::initializer_list<std::string_view> words, std::string_view what) {
  const auto tokens = schema::scan(text);
  if (!tokens) return text;
  if (const auto at = schema::find_words(text, *tokens, words)) text.insert(at->end, what);
  return text;
}

std::string index_name_of(const Turning& turning, const PgQuery__IndexStmt& index) {
  const auto table = turning.names.resolve(schema::name_of(*index.relation));
  return chosen(turning, book_of(turning).index(index, table));
}

// So that probe and repair know what they look for.
std::string with_name(const Turning& turning, const PgQuery__IndexStmt& index, const std::string& name) {
  if (!schema::text_of(index.idxname).empty()) return turning.statement.text();
  const std::string quoted = " " + schema::quote_identifier(name);
  return index.concurrent ? inserted(turning.statement.text(), {"CONCURRENTLY"}, quoted)
                          : inserted(turning.statement.text(), {"INDEX"}, quoted);
}

// On a partitioned table ONLY makes an empty index, which waits for those of the partitions to be attached.
// Whether it is one, only a catalog tells: a build that is not needed is cheap to decide, one under lock not.
void turn_only(const Turning& turning, const PgQuery__IndexStmt& index, const std::string& name,
               bool partitioned) {
  if (index.concurrent && partitioned)
    return turning.out.decide(turning.statement,
                              "the table is partitioned: no index can be built concurrently on it",
                              {"leave CONCURRENTLY out: ONLY the parent gets an index here, which is empty"});
  turning.out.add(with_name(turning, index, name));
  turning.out.pieces.back().rewritten = false;
  turning.out.pieces.back().proven = true;
}

void turn_create(const Turning& turning, const PgQuery__IndexStmt& index) {
  const schema::QualifiedName table = schema::name_of(*index.relation);
  const auto* known = turning.names.table(table);
  if (known != nullptr && known->kind == 'p' && index.relation->inh)
    return turn_partitioned_index(turning, *known);
  const std::string name = index_name_of(turning, index);
  const bool only = !index.relation->inh;
  if (only && (known == nullptr || known->kind == 'p'))
    return turn_only(turning, index, name, known != nullptr);
  std::string text = with_name(turning, index, name);
  if (!index.concurrent) text = inserted(text, {"INDEX"}, " CONCURRENTLY");
  turning.out.add(std::move(text),
                  fmt::format("build index {} on {} while writers go on", name, table.to_sql()));
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
    if (const auto* table = turning.names.table_of_index(name); table != nullptr && table->kind == 'p')
      return turning.out.decide(
          turning.statement,
          "the table is partitioned: no index is dropped concurrently from it, and a plain DROP INDEX waits "
          "for "
          "the locks of all its partitions while everybody waits behind it",
          {"drop it in a quiet hour, with a short lock_timeout", "keep it, if it does no harm"});
    turning.out.add(
        fmt::format("DROP INDEX CONCURRENTLY {}{}", drop.missing_ok ? "IF EXISTS " : "", name.to_sql()));
    turning.out.pieces.back().phase = change::Phase::kContract;
    turning.out.pieces.back().rewritten = !drop.concurrent || drop.n_objects > 1;
  }
}

}  // namespace

std::vector<std::string> key_columns(const PgQuery__IndexStmt& index) {
  std::vector<std::string> out;
  const auto take = [&](PgQuery__Node* const* elements, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto* element = schema::as<PgQuery__IndexElem>(elements[i]);
      out.emplace_back(element == nullptr ? "" : schema::text_of(element->name));
    }
  };
  take(index.index_params, index.n_index_params);
  take(index.index_including_params, index.n_index_including_params);
  return out;
}

std::string with_index_name(const Turning& turning) {
  const auto* index = schema::as<PgQuery__IndexStmt>(turning.statement.node());
  if (index == nullptr) return turning.statement.text();
  const auto table = turning.names.resolve(schema::name_of(*index->relation));
  const ChosenName name = book_of(turning).index(*index, table);
  return name.sure ? with_name(turning, *index, name.name) : turning.statement.text();
}

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
