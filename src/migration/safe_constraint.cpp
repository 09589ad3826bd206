// ADD CONSTRAINT: NOT VALID and VALIDATE apart, unique indexes built beforehand.
#include <fmt/format.h>

#include <algorithm>

#include "change/table_sql.h"
#include "lint/context.h"
#include "migration/effect.h"
#include "migration/safe_form.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::derive_name;
using schema::quote_identifier;
using schema::text_of;

std::string joined(const std::vector<std::string>& columns) {
  std::string out;
  for (const auto& column : columns) out += (out.empty() ? "" : ", ") + quote_identifier(column);
  return out;
}

// As PostgreSQL names a constraint that is given no name.
std::string constraint_name(const Turning& turning, const PgQuery__Constraint& constraint,
                            const schema::QualifiedName& table, const std::string& second,
                            std::string_view label, bool is_index) {
  if (const auto given = text_of(constraint.conname); !given.empty()) return std::string(given);
  const NameBook book = book_of(turning);
  const schema::QualifiedName resolved = turning.names.resolve(table);
  return chosen(turning, is_index ? book.relation(resolved, second, label, true)
                                  : book.constraint(resolved, second, label));
}

bool known_not_null(const Turning& turning, const schema::QualifiedName& table, const std::string& column) {
  const auto* known = turning.names.column(table, column);
  return known != nullptr && known->not_null;
}

void not_valid(const Turning& turning, const lint::Action& action, const PgQuery__Constraint& constraint) {
  const bool foreign = constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN;
  const auto columns = schema::strings(constraint.fk_attrs, constraint.n_fk_attrs);
  constexpr int kNotValidOfPartitioned = 180000;  // PostgreSQL 18
  const auto* known = turning.names.table(action.table);
  if (foreign && known != nullptr && known->kind == 'p' &&
      turning.names.catalog()->server_version_num < kNotValidOfPartitioned)
    return turning.out.decide(turning.statement,
                              "the table is partitioned: before PostgreSQL 18 its foreign key cannot be NOT "
                              "VALID, and checking all "
                              "rows keeps the writers of both tables waiting",
                              {"add it NOT VALID to each partition, validate each, then add it to the "
                               "parent, which takes those over"});
  const std::string name = constraint_name(turning, constraint, action.table,
                                           foreign ? joined_columns(columns) : checked_column(constraint),
                                           foreign ? "fkey" : "check", false);
  const std::string alter = "ALTER TABLE " + action.table.to_sql();
  std::string text(turning.statement.slice(action.range));
  if (text_of(constraint.conname).empty())
    text.insert(3, " CONSTRAINT " + quote_identifier(name));  // behind ADD
  turning.out.add(fmt::format("{} {} NOT VALID", alter, text), fmt::format("hold {} for new rows", name));
  turning.out.pieces.back().alone = true;
  const auto held = schema::parse_statement(turning.out.pieces.back().sql);
  turning.out.add(fmt::format("{} VALIDATE CONSTRAINT {}", alter, quote_identifier(name)),
                  fmt::format("prove {} on the rows that are there, while writers go on", name));
  turning.out.pieces.back().alone = true;
  // Another one of the name that is proved says nothing of this one.
  if (held) turning.out.pieces.back().and_probe = effect_of(*held, turning.names).probe;
  const auto* table = turning.names.table(action.table);
  if (!foreign || table == nullptr || columns.empty()) return;
  for (const auto& index : table->indexes)
    if (!index.columns.empty() && index.columns.front() == columns.front()) return;
  turning.out.unindexed.push_back(
      {turning.names.resolve(action.table), columns.front(),
       fmt::format("no index of {} begins with {}: a DELETE or a change of key in the referenced table reads "
                   "all of {}",
                   action.table.to_sql(), quote_identifier(columns.front()), action.table.to_sql())});
}

std::string attributes_of(const PgQuery__Constraint& constraint) {
  if (!constraint.deferrable) return "";
  return constraint.initdeferred ? " DEFERRABLE INITIALLY DEFERRED" : " DEFERRABLE";
}

void unique(const Turning& turning, const lint::Action& action, const PgQuery__Constraint& constraint) {
  const bool primary = constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
  const auto columns = schema::strings(constraint.keys, constraint.n_keys);
  const auto* table = turning.names.table(action.table);
  if ((table != nullptr && table->kind == 'p') || constraint.n_options > 0 ||
      !text_of(constraint.indexspace).empty())
    return turning.out.decide(
        turning.statement,
        table != nullptr && table->kind == 'p'
            ? "the table is partitioned: no index can be built concurrently on it, and the constraint would "
              "build "
              "one under lock on every partition"
            : "the constraint's index has storage options, which USING INDEX takes from the index",
        {"build the unique index on each partition concurrently, then attach them to one ON ONLY the parent",
         "create the unique index concurrently with those options, then add the constraint USING INDEX"});
  auto named = columns;
  for (auto& one : schema::strings(constraint.including, constraint.n_including))
    named.push_back(std::move(one));
  const auto name = constraint_name(turning, constraint, action.table, primary ? "" : joined_columns(named),
                                    primary ? "pkey" : "key", true);
  std::string suffix;
  if (constraint.n_including > 0)
    suffix =
        fmt::format(" INCLUDE ({})", joined(schema::strings(constraint.including, constraint.n_including)));
  if (constraint.nulls_not_distinct) suffix += " NULLS NOT DISTINCT";
  turn_unique(turning, action.table, name, columns, primary, suffix, attributes_of(constraint));
}

}  // namespace

NameBook book_of(const Turning& turning) {
  NameBook book(&turning.names.book());
  for (const Piece& piece : turning.out.pieces)
    if (const auto statement = schema::parse_statement(piece.sql)) book.after(*statement, turning.names);
  return book;
}

std::string chosen(const Turning& turning, ChosenName name) {
  turning.out.unsure_name = turning.out.unsure_name || !name.sure;
  return std::move(name.name);
}

std::string own_constraint_name(const Turning& turning, const schema::QualifiedName& table,
                                const std::string& wanted) {
  const NameBook book = book_of(turning);
  const std::string schema = turning.names.resolve(table).schema;
  std::string name = wanted;
  for (int number = 1; number < 1000 && book.constraint_taken({schema, name}); ++number)
    name = schema::derive_name({wanted + std::to_string(number)});
  return name;
}

void turn_unique(const Turning& turning, const schema::QualifiedName& table, const std::string& name,
                 const std::vector<std::string>& columns, bool primary, const std::string& suffix,
                 const std::string& attributes) {
  // A key's columns have to be NOT NULL before: USING INDEX would read the table under its strongest lock.
  for (const auto& column : columns)
    if (primary && !known_not_null(turning, table, column)) turn_set_not_null(turning, table, column);
  auto& pieces = turning.out.pieces;
  const std::string build = fmt::format("ON {} ({}){}", table.to_sql(), joined(columns), suffix);
  const std::string kind = primary ? "PRIMARY KEY" : "UNIQUE";
  if (turning.replaced == nullptr) {
    turning.out.add(fmt::format("CREATE UNIQUE INDEX CONCURRENTLY {} {}", quote_identifier(name), build));
    turning.out.add(fmt::format("ALTER TABLE {0} ADD CONSTRAINT {1} {2} USING INDEX {1}{3}", table.to_sql(),
                                quote_identifier(name), kind, attributes),
                    fmt::format("make a constraint of index {}", name));
    pieces.back().alone = true;
    return;
  }
  // The old one holds until the new one is whole; with USING INDEX the index takes the constraint's name.
  const schema::Constraint& old = *turning.replaced;
  const std::string index = index_beside(turning, table, name);
  const std::string done = replaced_probe(turning.names.resolve(table), name, old);
  turning.out.add(fmt::format("CREATE UNIQUE INDEX CONCURRENTLY {} {}", quote_identifier(index), build),
                  fmt::format("build the index of the new {} beside the old one", name));
  pieces.back().or_probe = done;
  turning.out.add(
      fmt::format("ALTER TABLE {} DROP CONSTRAINT {}, ADD CONSTRAINT {} {} USING INDEX {}{}", table.to_sql(),
                  quote_identifier(old.name), quote_identifier(name), kind, quote_identifier(index),
                  attributes),
      fmt::format("put {} in the place of {}", name, old.name == name ? "the old one" : old.name));
  pieces.back().alone = pieces.back().proven = true;
  pieces.back().probe = done;
}

void turn_constraint(const Turning& turning) {
  lint::each_action(turning.statement, [&](const lint::Action& action) {
    const auto* constraint = schema::as<PgQuery__Constraint>(action.command.def);
    if (constraint == nullptr) return;
    switch (constraint->contype) {
      case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
      case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
        if (!constraint->skip_validation) return not_valid(turning, action, *constraint);
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
      case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
        if (text_of(constraint->indexname).empty()) return unique(turning, action, *constraint);
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION:
        return turning.out.decide(
            turning.statement,
            "an exclusion constraint builds its index while nobody can read the table, and PostgreSQL has no "
            "other "
            "way to add one",
            {"a new table with the constraint, kept in step and exchanged for the old one",
             "accept the build in a maintenance window, if the table is small"});
      default: break;
    }
    turning.out.add(turning.statement.text());
    turning.out.pieces.back().rewritten = false;
    turning.out.pieces.back().alone = true;
  });
}

}  // namespace poundlock::migration
