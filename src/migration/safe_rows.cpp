// UPDATE and DELETE of every row, and the double INSERT.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "change/table_sql.h"
#include "lint/context.h"
#include "migration/many_rows.h"
#include "migration/row_triggers.h"
#include "migration/safe_form.h"
#include "schema/expression.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::text_of;

// "a = 1, b = lower(c)" of SET, each with its place in the text.
struct Assigned {
  std::string column;
  std::string value;
};

std::vector<std::string_view> split_at_commas(std::string_view text) {
  std::vector<std::string_view> out;
  const auto tokens = schema::scan(text);
  if (!tokens) return out;
  int depth = 0;
  std::size_t begin = 0;
  for (const auto& token : *tokens) {
    const std::string_view word = text.substr(token.range.begin, token.range.size());
    if (word == "(" || word == "[") ++depth;
    if (word == ")" || word == "]") --depth;
    if (word != "," || depth != 0) continue;
    out.push_back(text.substr(begin, token.range.begin - begin));
    begin = token.range.end;
  }
  out.push_back(text.substr(begin));
  return out;
}

std::string trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

// Empty where a value depends on more than its row, or on what is assigned: run again it would change again.
std::vector<Assigned> assignments(const schema::Statement& statement, const PgQuery__UpdateStmt& update) {
  const std::string& text = statement.text();
  // One value of ROW(...) for several columns has no text of its own.
  for (std::size_t i = 0; i < update.n_target_list; ++i)
    if (const auto* target = as<PgQuery__ResTarget>(update.target_list[i]);
        target == nullptr || target->val == nullptr ||
        target->val->node_case == PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF)
      return {};
  const auto set = schema::find_words(text, statement.tokens(), {"SET"});
  if (!set || update.n_from_clause > 0 || update.with_clause != nullptr || update.n_returning_list > 0)
    return {};
  std::size_t end = text.size();
  int depth = 0;
  for (const auto& token : statement.tokens()) {
    const std::string_view word = statement.slice(token.range);
    if (word == "(") ++depth;
    if (word == ")") --depth;
    if (depth == 0 && token.range.begin > set->end && schema::equals_ignoring_case(word, "WHERE")) {
      end = token.range.begin;
      break;
    }
  }
  std::vector<Assigned> out;
  for (const auto one : split_at_commas(std::string_view(text).substr(set->end, end - set->end))) {
    const auto equals = one.find('=');
    if (equals == one.npos || out.size() >= update.n_target_list) return {};
    const auto* target = as<PgQuery__ResTarget>(update.target_list[out.size()]);
    if (target == nullptr || target->n_indirection > 0) return {};
    out.push_back({std::string(text_of(target->name)), trimmed(one.substr(equals + 1))});
  }
  if (out.size() != update.n_target_list) return {};
  for (const auto& one : out) {
    const auto expression = schema::parse_expression(one.value);
    if (!expression) return {};
    for (const auto& column : expression->column_names)
      if (std::ranges::find(out, column, &Assigned::column) != out.end()) return {};
  }
  return out;
}

// A value that a column of any usual type keeps as it is. '1.239' does not stay so in a numeric(10,2), nor
// does 'x ' in a varchar(1): the backfill would find the same rows out of step for ever.
bool stays_as_written(const PgQuery__Node* value) {
  const auto* constant = as<PgQuery__AConst>(value);
  if (constant == nullptr) return false;
  if (constant->isnull || constant->val_case == PG_QUERY__A__CONST__VAL_IVAL) return true;
  if (constant->val_case != PG_QUERY__A__CONST__VAL_SVAL) return false;
  const std::string_view text = text_of(constant->sval->sval);
  const bool fraction = text.find('.') != text.npos && text.find_first_of("0123456789") != text.npos;
  return !fraction && !text.ends_with(' ');
}

// What the column holds behind the assignment, to be compared with; "" where nobody knows.
std::string stored_value(const Turning& turning, const schema::QualifiedName& table, const Assigned& one,
                         const PgQuery__Node* value) {
  const std::string type = turning.names.type_of(table, one.column);
  // In quotes a number takes the column's type, which may be text.
  if (const auto* number = as<PgQuery__AConst>(value); type.empty() && number != nullptr &&
                                                       number->val_case == PG_QUERY__A__CONST__VAL_IVAL &&
                                                       !number->isnull)
    return fmt::format("('{}')", number->ival->ival);
  if (type.empty()) return stays_as_written(value) ? fmt::format("({})", one.value) : std::string();
  for (const char* unequal : {"json", "\"json\"", "xml", "\"xml\""})  // of these there is no equality
    if (type == unequal) return {};
  return fmt::format("CAST(({}) AS {})", one.value, type);
}

// What stands behind WHERE; "" for none. Of an UPDATE without RETURNING, which would stand behind it.
std::string condition_of(const schema::Statement& statement, const PgQuery__UpdateStmt& update) {
  if (update.where_clause == nullptr) return {};
  int depth = 0;
  for (const auto& token : statement.tokens()) {
    const std::string_view word = statement.slice(token.range);
    if (word == "(") ++depth;
    if (word == ")") --depth;
    if (depth == 0 && schema::equals_ignoring_case(word, "WHERE"))
      return statement.text().substr(token.range.end);
  }
  return {};
}

// WHERE new IS NULL of a column that is given a value: who runs it again finds what is left, and takes
// nothing away from anybody.
bool finds_what_is_left(const PgQuery__UpdateStmt& update, const std::vector<Assigned>& assigned) {
  std::vector<const PgQuery__Node*> open{update.where_clause};
  while (!open.empty()) {
    const PgQuery__Node* one = open.back();
    open.pop_back();
    const auto* junction = as<PgQuery__BoolExpr>(one);
    if (junction != nullptr && junction->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)
      open.insert(open.end(), junction->args, junction->args + junction->n_args);
    const auto* test = as<PgQuery__NullTest>(one);
    if (test == nullptr || test->nulltesttype != PG_QUERY__NULL_TEST_TYPE__IS_NULL) continue;
    const auto* column = as<PgQuery__ColumnRef>(test->arg);
    if (column == nullptr) continue;
    const std::string name = schema::strings(column->fields, column->n_fields).back();
    if (assigned.size() == 1 && assigned.front().column == name) return true;
  }
  return false;
}

// Repeated until none differs, batches would take away what the application writes meanwhile; once, they need
// an order in which each row comes once. True where that is decided.
bool has_no_order(const Turning& turning, const schema::QualifiedName& table,
                  const std::vector<Assigned>& assigned) {
  const auto* known = turning.names.table(table);
  const bool keyed = known != nullptr && !known->primary_key.empty();
  const bool moves = keyed && std::ranges::any_of(assigned, [&](const Assigned& one) {
                       return std::ranges::find(known->primary_key, one.column) != known->primary_key.end();
                     });
  if (keyed && !moves) return false;
  turning.out.decide(
      turning.statement,
      fmt::format(
          "in one transaction it keeps rows of {0} locked until its end, and in batches each row has to "
          "come once, in the order of the primary key: repeated until none differs, they would take "
          "away what the application writes meanwhile. {1}",
          table.to_sql(),
          moves              ? "It changes the key itself"
          : known == nullptr ? "No database tells the key"
                             : "The table has none"),
      {known == nullptr ? "give --database-url, so that the key is known"
                        : "go over the table in ranges of your own that meet each row once",
       "write it so that a second run finds nothing to do, WHERE the new value IS NULL",
       "accept it in one transaction: -- poundlock: ignore update_many_rows reason"});
  return true;
}

// They fire for the statement as it was written, too; whoever reads the plan may not know.
void note_triggers(const Turning& turning, const schema::QualifiedName& table,
                   const std::vector<Assigned>& assigned) {
  std::set<std::string> columns;
  for (const auto& one : assigned) columns.insert(one.column);
  const RowTriggers fire = row_triggers(turning.names, table, columns);
  if (!fire.all.empty())
    turning.out.notes.push_back(
        fmt::format("{}: {} fires for each row that is changed", table.to_sql(), fire.all));
}

// Where what it writes cannot be cut into batches; true where that is decided.
bool no_batches(const Turning& turning, const PgQuery__UpdateStmt& update,
                const std::vector<Assigned>& assigned, const std::string& condition,
                const std::string& which) {
  // A subquery or the time would find other rows in each batch.
  const bool of_the_row = condition.empty() || schema::parse_expression(condition).has_value();
  const bool joins = update.n_from_clause > 0 || update.with_clause != nullptr;
  if (!joins && !assigned.empty() && update.relation->alias == nullptr && of_the_row) return false;
  turning.out.decide(
      turning.statement,
      fmt::format("it changes {} of {} in one transaction: the rows stay locked until its end, and replicas "
                  "fall behind. {}, so that it cannot be cut into batches that may be repeated",
                  which, schema::name_of(*update.relation).to_sql(),
                  joins                               ? "Its values or rows come from other tables"
                  : !of_the_row                       ? "Which rows it takes depends on more than the row"
                  : update.relation->alias != nullptr ? "Batches do not know the table's alias"
                                                      : "What it assigns depends on more than the row"),
      {joins ? "run it by ranges of the key, each in a transaction of its own with a short lock_timeout: AND "
               "the key BETWEEN 1 AND 1000, and so on"
             : "write it so that a second run finds nothing to do (WHERE the new value is missing), by key "
               "ranges",
       "a rollout of change_column, whose `up` is the expression"});
  return true;
}

// `which`: "every row", or "the rows".
void turn_update(const Turning& turning, const PgQuery__UpdateStmt& update, const std::string& which) {
  const auto assigned = assignments(turning.statement, update);
  const schema::QualifiedName written = schema::name_of(*update.relation);
  const std::string condition = condition_of(turning.statement, update);
  if (!update.relation->inh)
    return turning.out.decide(
        turning.statement,
        fmt::format("it changes {} of {} alone, and not those of its children, in one transaction: "
                    "batches would go through the children too",
                    which, written.to_sql()),
        {"leave ONLY out, where the table has no children or they are meant too",
         "write it so that a second run finds nothing to do (WHERE the new value is missing), by key "
         "ranges"});
  if (no_batches(turning, update, assigned, condition, which)) return;
  const schema::QualifiedName table = turning.names.resolve(written);
  // Nobody else writes a column that the script has made.
  const bool fresh = std::ranges::all_of(
      assigned, [&](const Assigned& one) { return turning.names.is_new_column(table, one.column); });
  const bool once = !fresh && !finds_what_is_left(update, assigned);
  if (once && has_no_order(turning, table, assigned)) return;
  change::InStep in_step;
  in_step.table = change::quoted_table(table);
  if (const auto* known = turning.names.table(table))
    for (const auto& key : known->primary_key) in_step.key.push_back(schema::force_quote_identifier(key));
  for (std::size_t i = 0; i < assigned.size(); ++i) {
    const Assigned& one = assigned[i];
    const std::string stored =
        stored_value(turning, table, one, as<PgQuery__ResTarget>(update.target_list[i])->val);
    if (stored.empty())
      return turning.out.decide(
          turning.statement,
          fmt::format("batches end when every row holds the new value, and nobody knows here what {} makes "
                      "of it: the column's type may round or refuse to compare it",
                      schema::quote_identifier(one.column)),
          {"give --database-url, so that the column's type is known",
           "write it so that a second run finds nothing to do (WHERE the new value is missing), by key "
           "ranges"});
    const std::string column = schema::force_quote_identifier(one.column);
    in_step.assignment +=
        fmt::format("{}{} = ({})", in_step.assignment.empty() ? "" : ", ", column, one.value);
    in_step.out_of_step +=
        fmt::format("{}({} IS DISTINCT FROM {})", in_step.out_of_step.empty() ? "" : " OR ", column, stored);
  }
  in_step.out_of_step = "(" + in_step.out_of_step + ")";
  if (!condition.empty()) in_step.out_of_step = fmt::format("(({}) AND {})", condition, in_step.out_of_step);
  Piece piece;
  piece.sql =
      fmt::format("UPDATE {} SET {} WHERE {}", in_step.table, in_step.assignment, in_step.out_of_step);
  piece.title = fmt::format("bring {} of {} to {} new value, in batches", which, table.to_sql(),
                            condition.empty() ? "its" : "their");
  piece.backfill = std::move(in_step);
  piece.alone = piece.rewritten = true;
  piece.once = once;
  turning.out.pieces.push_back(std::move(piece));
  if (once)
    turning.out.notes.push_back(fmt::format(
        "{}: each row that is there gets its value once, in batches in the order of the key. A row that the "
        "application changes behind them keeps the application's value, and one that it adds before them "
        "gets "
        "this one; in one transaction neither would be so",
        table.to_sql()));
  note_triggers(turning, table, assigned);
}

struct Row {
  std::vector<std::string> columns;
  std::vector<std::string> values;
  std::vector<bool> constant;  // neither NULL, which no key finds again, nor DEFAULT or a function's value
};

bool is_constant(const PgQuery__Node* value) {
  while (const auto* cast = as<PgQuery__TypeCast>(value)) value = cast->arg;
  const auto* constant = as<PgQuery__AConst>(value);
  return constant != nullptr && !constant->isnull;
}

using ColumnList = std::vector<std::string>;

bool covers(const ColumnList& columns, const ColumnList& key) {
  return !key.empty() && std::ranges::all_of(key, [&](const std::string& one) {
    return std::ranges::find(columns, one) != columns.end();
  });
}

// Do these columns, with the same constants in both, tell that the second row conflicts with the first?
bool same_row(const ColumnList& shared, const PgQuery__InsertStmt& insert, const Names& names) {
  const auto* table = names.table(schema::name_of(*insert.relation));
  if (const auto* target = insert.on_conflict_clause->infer) {
    if (target->where_clause != nullptr) return false;
    ColumnList key;
    for (std::size_t i = 0; i < target->n_index_elems; ++i) {
      const auto* element = as<PgQuery__IndexElem>(target->index_elems[i]);
      if (element == nullptr || text_of(element->name).empty()) return false;
      key.emplace_back(text_of(element->name));
    }
    if (const auto name = text_of(target->conname); !name.empty()) {
      const auto* constraint = table == nullptr ? nullptr : table->constraint(name);
      if (constraint == nullptr || (constraint->kind != 'p' && constraint->kind != 'u')) return false;
      key = constraint->columns;
    }
    return covers(shared, key);
  }
  if (table == nullptr) return covers(shared, {"id"});
  return covers(shared, table->primary_key) ||
         std::ranges::any_of(table->constraints, [&](const schema::Constraint& one) {
           return (one.kind == 'p' || one.kind == 'u') && covers(shared, one.columns);
         });
}

// INSERT INTO t (a, b) VALUES (1, 'x') and nothing else in the list.
std::optional<Row> single_row(const schema::Statement& statement, const PgQuery__InsertStmt& insert) {
  const auto* select = as<PgQuery__SelectStmt>(insert.select_stmt);
  if (select == nullptr || select->n_values_lists != 1 || insert.n_cols == 0 ||
      insert.with_clause != nullptr || insert.n_returning_list > 0)
    return std::nullopt;
  Row row;
  for (std::size_t i = 0; i < insert.n_cols; ++i) {
    const auto* target = as<PgQuery__ResTarget>(insert.cols[i]);
    if (target == nullptr || target->n_indirection > 0) return std::nullopt;
    row.columns.emplace_back(text_of(target->name));
  }
  const std::string& text = statement.text();
  const auto word = schema::find_words(text, statement.tokens(), {"VALUES", "("});
  if (!word) return std::nullopt;
  int depth = 1;
  for (const auto& token : statement.tokens()) {
    if (token.range.begin < word->end) continue;
    const std::string_view one = statement.slice(token.range);
    if (one == "(") ++depth;
    if (one == ")" && --depth == 0) {
      for (const auto value :
           split_at_commas(std::string_view(text).substr(word->end, token.range.begin - word->end)))
        row.values.push_back(trimmed(value));
      break;
    }
  }
  const auto* list = as<PgQuery__List>(select->values_lists[0]);
  if (row.values.size() != row.columns.size() || list == nullptr || list->n_items != row.values.size())
    return std::nullopt;
  for (std::size_t i = 0; i < list->n_items; ++i) row.constant.push_back(is_constant(list->items[i]));
  return row;
}

}  // namespace

std::vector<std::string> insert_columns(const schema::Statement& insert) {
  std::vector<std::string> out;
  const auto* node = as<PgQuery__InsertStmt>(insert.node());
  for (std::size_t i = 0; node != nullptr && i < node->n_cols; ++i)
    if (const auto* column = as<PgQuery__ResTarget>(node->cols[i])) out.emplace_back(text_of(column->name));
  return out;
}

std::optional<std::string> merged_insert(const schema::Statement& first, const schema::Statement& second,
                                         const Names& names) {
  const auto* one = as<PgQuery__InsertStmt>(first.node());
  const auto* two = as<PgQuery__InsertStmt>(second.node());
  if (one == nullptr || two == nullptr || two->on_conflict_clause == nullptr ||
      two->on_conflict_clause->action != PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_NOTHING ||
      !lint::same_table(schema::name_of(*one->relation), schema::name_of(*two->relation)))
    return std::nullopt;
  auto row = single_row(first, *one);
  const auto more = single_row(second, *two);
  if (!row || !more || one->on_conflict_clause != nullptr) return std::nullopt;
  ColumnList shared;  // nothing but a key's values in common says that both mean the same row
  for (std::size_t i = 0; i < more->columns.size(); ++i) {
    const auto at = std::ranges::find(row->columns, more->columns[i]);
    if (at == row->columns.end()) {
      row->columns.push_back(more->columns[i]);
      row->values.push_back(more->values[i]);
    } else if (row->values[static_cast<std::size_t>(at - row->columns.begin())] == more->values[i]) {
      if (more->constant[i]) shared.push_back(more->columns[i]);
    } else {
      return std::nullopt;
    }
  }
  if (!same_row(shared, *two, names)) return std::nullopt;
  std::string columns;
  std::string values;
  for (std::size_t i = 0; i < row->columns.size(); ++i) {
    columns += (i == 0 ? "" : ", ") + schema::quote_identifier(row->columns[i]);
    values += (i == 0 ? "" : ", ") + row->values[i];
  }
  return fmt::format("INSERT INTO {} ({}) VALUES ({})", schema::name_of(*one->relation).to_sql(), columns,
                     values);
}

void turn_rows(const Turning& turning) {
  const auto* update = as<PgQuery__UpdateStmt>(turning.statement.node());
  if (update != nullptr && update->where_clause == nullptr) return turn_update(turning, *update, "every row");
  if (const std::string why = many_rows(turning.statement, turning.names); !why.empty()) {
    if (update != nullptr) return turn_update(turning, *update, "the rows that it names, maybe very many,");
    return turning.out.decide(
        turning.statement,
        fmt::format(
            "it may delete very many rows in one transaction, and what is gone cannot be had back. {}", why),
        {"delete by key ranges, some thousand rows at a time",
         "accept it, with the rule's name in a comment: -- poundlock: ignore update_many_rows reason"});
  }
  if (const auto* gone = as<PgQuery__DeleteStmt>(turning.statement.node());
      gone != nullptr && gone->where_clause == nullptr)
    return turning.out.decide(
        turning.statement,
        fmt::format("it deletes every row of {} in one transaction, and what is gone cannot be had back",
                    schema::name_of(*gone->relation).to_sql()),
        {"delete by key ranges, some thousand rows at a time", "say which rows are meant, by a WHERE"});
  if (auto note = maybe_many_rows(turning.statement, turning.names); !note.empty())
    turning.out.notes.push_back(std::move(note));
  turning.out.add(turning.statement.text());
  turning.out.pieces.back().rewritten = false;
}

void turn_copied_rows(const Turning& turning) {
  const std::string why = many_rows(turning.statement, turning.names);
  if (!why.empty() && turning.names.catalog() != nullptr)
    return turning.out.decide(
        turning.statement,
        fmt::format(
            "it may write very many rows in one transaction: {}. What it changes stays locked until its "
            "end, and replicas fall behind",
            why),
        {"run it by ranges of the source's key, each in a transaction of its own",
         "accept it in one transaction: -- poundlock: ignore update_many_rows reason"});
  if (!why.empty())
    turning.out.notes.push_back(
        fmt::format("{}: {}, in one transaction, and no database tells how much that is",
                    schema::to_string(turning.statement.kind()), why));
  turning.out.add(turning.statement.text());
  turning.out.pieces.back().rewritten = false;
}

}  // namespace poundlock::migration
