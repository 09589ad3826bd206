#include "lint/columns.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/tree.h"

namespace poundlock::lint {
namespace {

schema::ByteRange trimmed(const schema::Statement& statement, std::size_t begin, std::size_t end) {
  // Tokens, not bytes: a comment behind the piece is no part of it.
  schema::ByteRange range{begin, begin};
  for (const schema::Token& token : statement.tokens())
    if (token.range.begin >= begin && token.range.end <= end) range.end = token.range.end;
  return range;
}

std::size_t place(int location) {
  return static_cast<std::size_t>(std::max(0, location));
}

}  // namespace

const ColumnPiece* AddedColumn::piece(int contype) const {
  const auto found = std::ranges::find_if(pieces, [&](const ColumnPiece& candidate) {
    return static_cast<int>(candidate.constraint->contype) == contype;
  });
  return found == pieces.end() ? nullptr : &*found;
}

void each_added_column(const Context& context, const std::function<void(const AddedColumn&)>& visit) {
  const schema::Statement& statement = context.statement;
  each_action(context, [&](const Action& action) {
    const auto* column = schema::as<PgQuery__ColumnDef>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn || column == nullptr) return;
    AddedColumn added{.action = action, .traits = column_traits(*column)};
    added.plain_name = schema::text_of(column->colname);
    added.name = schema::quote_identifier(schema::text_of(column->colname));
    added.range = {place(column->location), action.range.end};
    for (std::size_t i = 0; i < column->n_constraints; ++i)
      if (const auto* constraint = schema::as<PgQuery__Constraint>(column->constraints[i]))
        added.pieces.push_back({constraint, {place(constraint->location), action.range.end}, ""});
    std::ranges::sort(added.pieces, {}, [](const ColumnPiece& piece) { return piece.range.begin; });
    for (std::size_t i = 0; i < added.pieces.size(); ++i) {
      const bool last = i + 1 == added.pieces.size();
      const std::size_t end = last ? action.range.end : added.pieces[i + 1].range.begin;
      added.pieces[i].range = trimmed(statement, added.pieces[i].range.begin, end);
      added.pieces[i].text = statement.slice(added.pieces[i].range);
    }
    if (column->type_name != nullptr) {
      added.type_name = type_spec(*column->type_name).name;
      const std::size_t end = added.pieces.empty() ? action.range.end : added.pieces.front().range.begin;
      added.type_range = trimmed(statement, place(column->type_name->location), end);
      added.type = statement.slice(added.type_range);
    }
    visit(added);
  });
}

}  // namespace poundlock::lint
