// ADD COLUMN and SET NOT NULL: nullable column, backfill, default, and NOT NULL over a proven CHECK.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "change/table_sql.h"
#include "lint/columns.h"
#include "migration/check_text.h"
#include "migration/row_triggers.h"
#include "migration/safe_form.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using change::quoted_table;
using lint::AddedColumn;
using lint::ColumnPiece;
using schema::derive_name;
using schema::quote_identifier;
using schema::text_of;

constexpr int kDefault = PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT;
constexpr int kNotNull = PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL;
constexpr int kCheck = PG_QUERY__CONSTR_TYPE__CONSTR_CHECK;
constexpr int kForeign = PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN;
constexpr int kUnique = PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE;

// One ADD COLUMN on its way.
struct Adding {
  const Turning& turning;
  const AddedColumn& column;
  std::string table;  // as it was written
  std::string name;   // unquoted

  std::string alter() const { return "ALTER TABLE " + table; }
  // What stands behind "CONSTRAINT name".
  static std::string body(const ColumnPiece& piece) {
    if (text_of(piece.constraint->conname).empty()) return piece.text;
    const auto tokens = schema::scan(piece.text);
    return tokens && tokens->size() > 2 ? piece.text.substr((*tokens)[2].range.begin) : piece.text;
  }
  // That of a change which is half done: the column is there, and its constraint may be.
  std::string there(const ColumnPiece& piece, std::string_view label) const {
    const auto* known = turning.names.table(column.action.table);
    if (known == nullptr || turning.names.column(column.action.table, name) == nullptr) return {};
    const char kind = label == "check" ? 'c' : label == "key" ? 'u' : 'f';
    for (const auto& one : known->constraints)
      if (one.kind == kind && one.columns == std::vector{name} &&
          (kind != 'c' || same_constraint(*piece.constraint, one.definition) == Alike::kYes))
        return one.name;
    return {};
  }
  std::string constraint_name(const ColumnPiece& piece, std::string_view label) const {
    const std::string given(text_of(piece.constraint->conname));
    if (!given.empty()) return given;
    if (std::string same = there(piece, label); !same.empty()) return same;
    const NameBook book = book_of(turning);
    const auto resolved = turning.names.resolve(column.action.table);
    if (label == "check")
      return chosen(turning, book.constraint(resolved, checked_column(*piece.constraint), label));
    if (label == "key") return chosen(turning, book.relation(resolved, name, label, true));
    return chosen(turning, book.constraint(resolved, name, label));
  }
  // DEFERRABLE and INITIALLY ... stand as pieces of their own behind what they belong to.
  std::string attributes() const {
    std::string out;
    for (const auto& piece : column.pieces)
      if (piece.constraint->contype >= PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE) out += " " + piece.text;
    return out;
  }
};

void prove(const Turning& turning, const std::string& alter, const std::string& constraint,
           const std::string& what) {
  turning.out.add(fmt::format("{} VALIDATE CONSTRAINT {}", alter, quote_identifier(constraint)),
                  fmt::format("prove {} on the rows that are there, while writers go on", what));
  turning.out.pieces.back().alone = true;
}

void add_checked(const Adding& adding, const ColumnPiece& piece, std::string_view role,
                 const std::string& before, const std::string& after) {
  const std::string name = adding.constraint_name(piece, role);
  adding.turning.out.add(fmt::format("{} ADD CONSTRAINT {} {}{}{} NOT VALID", adding.alter(),
                                     quote_identifier(name), before, Adding::body(piece), after),
                         fmt::format("hold {} for new rows", name));
  adding.turning.out.pieces.back().alone = true;
  prove(adding.turning, adding.alter(), name, name);
}

void decide_missing_value(const Adding& adding) {
  adding.turning.out.decide(
      adding.turning.statement,
      fmt::format(
          "column {} is NOT NULL without a default: rows that are there have no value, and the INSERTs of "
          "the running version do not give it one. The column is added nullable; NOT NULL is left out",
          adding.column.name),
      {"change it by a rollout, which fills the column from another one and makes it NOT NULL when that is "
       "proved",
       "give it a default, which then fills the old rows too",
       "write it from the application first, and make it NOT NULL by a later migration"},
      propose_rollout({.table = adding.column.action.table,
                       .from = "OLD_COLUMN",
                       .to = adding.name,
                       .type = adding.column.type,
                       .default_expr = {},
                       .up = "OLD_COLUMN",
                       .down = adding.name}));
}

// The default comes when the old rows are filled: a column that starts with one looks filled at once, so that
// nobody can tell the rows that hold a wrong value. What was inserted in between is filled behind it.
void add_default(const Adding& adding, const std::string& value) {
  SafeForm& out = adding.turning.out;
  const auto table = adding.turning.names.resolve(adding.column.action.table);
  out.pieces.push_back(fill_step(adding.turning, table, adding.name, value, "rows that were there before"));
  out.add(fmt::format("{} ALTER COLUMN {} SET DEFAULT {}", adding.alter(), adding.column.name, value));
  out.pieces.push_back(
      fill_step(adding.turning, table, adding.name, value, "rows that came before the default"));
  out.notes.push_back(fmt::format(
      "{}.{}: added without its default; the old rows are filled in batches, and the default is set "
      "behind them. Where the column is the new side of another one, take a rollout of change_column "
      "in place of this: it fills each row from the old column, and not with the default",
      adding.table, adding.column.name));
}

bool refused(const Adding& adding) {
  const auto& traits = adding.column.traits;
  if (!traits.generated && !traits.identity && !traits.primary) return false;
  const char* what = traits.generated  ? "a stored generated column"
                     : traits.identity ? "an identity column"
                                       : "a primary key";
  adding.turning.out.decide(
      adding.turning.statement,
      fmt::format(
          "{} is added to rows that are there: the whole table is written anew while nobody can read it",
          what),
      {traits.generated
           ? "a plain column that a trigger keeps: a rollout with change_column, whose `up` is the formula"
           : "a nullable column first, filled in batches; then the key or identity over the filled column",
       "accept the rewrite in a maintenance window: -- poundlock: ignore volatile_default REASON"});
  return true;
}

std::string bare_type(const Adding& adding) {
  std::string type = adding.column.type;
  if (!adding.column.traits.serial) return type;
  const bool small = type.find("small") != type.npos || type.find("2") != type.npos;
  const bool big = type.find("big") != type.npos || type.find("8") != type.npos;
  return small ? "smallint" : big ? "bigint" : "integer";
}

// serial: the sequence is made first, so that its numbers can be given out in batches.
std::string add_sequence(const Adding& adding) {
  SafeForm& out = adding.turning.out;
  const auto table = adding.turning.names.resolve(adding.column.action.table);
  const std::string sequence = quoted_table(
      {table.schema, chosen(adding.turning, book_of(adding.turning).relation(table, adding.name, "seq"))});
  out.add(fmt::format("CREATE SEQUENCE {} AS {} OWNED BY {}.{}", sequence, bare_type(adding),
                      quoted_table(table), adding.column.name));
  return fmt::format("nextval({}::regclass)", schema::quote_literal(sequence));
}

// NULL, NULL::text: no default at all, and nothing that a row could be filled with.
bool is_null(const PgQuery__Node* value) {
  while (const auto* cast = schema::as<PgQuery__TypeCast>(value)) value = cast->arg;
  const auto* constant = schema::as<PgQuery__AConst>(value);
  return constant != nullptr && constant->isnull;
}

// What the steps below have no words for.
bool undecided(const Adding& adding) {
  const Turning& turning = adding.turning;
  const AddedColumn& column = adding.column;
  const auto count = [&](int kind) {
    return std::ranges::count_if(column.pieces, [&](const ColumnPiece& piece) {
      return static_cast<int>(piece.constraint->contype) == kind;
    });
  };
  const bool both = count(kForeign) > 0 && count(kUnique) > 0 && !adding.attributes().empty();
  if (count(kCheck) > 1 || count(kForeign) > 1 || count(kUnique) > 1 || both) {
    turning.out.decide(
        turning.statement,
        fmt::format("column {} brings several constraints of a kind, or several that may be deferred",
                    column.name),
        {"add the column alone, and each constraint by an ALTER TABLE of its own behind it"});
    return true;
  }
  const auto* table = turning.names.table(column.action.table);
  if (column.action.command.missing_ok && table == nullptr) {
    turning.out.decide(
        turning.statement,
        fmt::format("whether column {} is there is not known: where it is, the statement does nothing, and "
                    "neither may the steps that fill and constrain it",
                    column.name),
        {"give --database-url, so that the columns are known",
         "leave IF NOT EXISTS out, where the column is not there"});
    return true;
  }
  if (column.traits.serial && table == nullptr) {
    turning.out.decide(
        turning.statement,
        fmt::format("whether the sequence that {} would own is there already is not known: taking over "
                    "another's would give its numbers to two columns",
                    column.name),
        {"give --database-url, so that the sequences are known",
         "create the sequence by a name of your own, and add the column with nextval() of it as default"});
    return true;
  }
  return false;
}

// ADD COLUMN IF NOT EXISTS of a column that is there does nothing.
bool there_already(const Adding& adding) {
  const Turning& turning = adding.turning;
  const auto& table = adding.column.action.table;
  if (!adding.column.action.command.missing_ok || turning.names.is_dropped_column(table, adding.name) ||
      (turning.names.column(table, adding.name) == nullptr &&
       !turning.names.is_new_column(table, adding.name)))
    return false;
  turning.out.add(turning.statement.text());
  turning.out.pieces.back().rewritten = false;
  turning.out.pieces.back().proven = true;
  return true;
}

void add_not_null(const Adding& adding, bool filled) {
  const ColumnPiece* piece = adding.column.piece(kNotNull);
  if (piece == nullptr && !adding.column.traits.serial) return;
  if (!filled) return decide_missing_value(adding);
  turn_set_not_null(adding.turning, adding.column.action.table, adding.name);
}

// A domain with conditions rewrites the table whatever the default is; of one that is not known, too.
bool may_be_domain(const Adding& adding) {
  const auto* definition = schema::as<PgQuery__ColumnDef>(adding.column.action.command.def);
  if (definition->type_name == nullptr) return true;
  const auto* catalog = adding.turning.names.catalog();
  const auto type = schema::name_of(definition->type_name->names, definition->type_name->n_names);
  if (type.schema == "pg_catalog") return false;
  return catalog != nullptr && std::ranges::any_of(catalog->types, [&](const schema::Type& one) {
           return one.kind == 'd' && one.name == type.name &&
                  (type.schema.empty() || type.schema == one.schema);
         });
}

// Since PostgreSQL 11 a default that is the same for every row is kept in the catalog: the rows that are
// there read it without being written, so that no trigger fires for them.
bool default_is_catalog_only(const Adding& adding) {
  const ColumnPiece* value = adding.column.piece(kDefault);
  const auto& action = adding.column.action;
  const auto* table = adding.turning.names.table(action.table);
  const bool partitioned_key =
      adding.column.piece(kForeign) != nullptr && table != nullptr && table->kind == 'p';
  return value != nullptr && !is_null(value->constraint->raw_expr) &&
         !adding.column.traits.volatile_default && !adding.column.traits.serial && !partitioned_key &&
         !may_be_domain(adding);
}

// "DEFAULT 3 NOT NULL" in the one statement.
void add_with_default(const Adding& adding, const std::string& head) {
  SafeForm& out = adding.turning.out;
  const AddedColumn& column = adding.column;
  std::string text =
      fmt::format("{}ADD COLUMN {}{} {} {}", head, column.action.command.missing_ok ? "IF NOT EXISTS " : "",
                  column.name, bare_type(adding), column.piece(kDefault)->text);
  bool alike = true;
  for (const auto& piece : column.pieces)
    alike = alike && (static_cast<int>(piece.constraint->contype) == kDefault ||
                      static_cast<int>(piece.constraint->contype) == kNotNull);
  if (column.piece(kNotNull) != nullptr) text += " NOT NULL";
  out.add(alike ? adding.turning.statement.text() : std::move(text));
  out.pieces.back().rewritten = !alike;
  out.pieces.back().proven = true;
  out.notes.push_back(fmt::format(
      "{}.{}: every row that is there reads as the default at once, and is not written. Where the column is "
      "the new side of another one, take a rollout of change_column in place of this: it fills each row from "
      "the old column, and not with the default",
      adding.table, column.name));
}

// The statement as it was written writes the table anew and fires none.
bool fires_what_writes(const Adding& adding) {
  const auto* value = adding.column.piece(kDefault);
  const bool fills =
      adding.column.traits.serial ||
      (value != nullptr && !is_null(value->constraint->raw_expr) && !default_is_catalog_only(adding));
  if (!fills) return false;
  const RowTriggers fire = row_triggers(adding.turning.names, adding.column.action.table, {adding.name});
  if (fire.writing.empty()) {
    if (!fire.all.empty())
      adding.turning.out.notes.push_back(
          fmt::format("{}.{}: {} fires for each old row, which the batches give its value by an UPDATE",
                      adding.table, adding.column.name, fire.all));
    return false;
  }
  adding.turning.out.decide(
      adding.turning.statement,
      fmt::format(
          "the old rows get their value by an UPDATE of each, in batches, at which {} fires and may "
          "change the row; written as one statement it would fire none, and the whole table be written "
          "anew while nobody can read it",
          fire.writing),
      {"let the trigger pass such an UPDATE by (UPDATE OF other columns, or a WHEN), and plan it then",
       "add the column with a default that is the same for every row, which writes none",
       "accept the rewrite in a maintenance window: -- poundlock: ignore volatile_default REASON"});
  return true;
}

void turn(const Adding& adding) {
  if (there_already(adding) || undecided(adding) || refused(adding) || fires_what_writes(adding)) return;
  SafeForm& out = adding.turning.out;
  const AddedColumn& column = adding.column;
  const std::string head = adding.turning.statement.text().substr(0, column.action.range.begin);
  const bool missing_ok = column.action.command.missing_ok;
  const ColumnPiece* foreign = column.piece(kForeign);
  // The foreign key of a partitioned table cannot be NOT VALID; with the column, which is NULL in every row,
  // it has no row to check.
  const auto* table = adding.turning.names.table(column.action.table);
  const bool together = foreign != nullptr && table != nullptr && table->kind == 'p';
  const bool at_once = default_is_catalog_only(adding);
  if (at_once)
    add_with_default(adding, head);
  else
    out.add(fmt::format("{}ADD COLUMN {}{} {}{}", head, missing_ok ? "IF NOT EXISTS " : "", column.name,
                        bare_type(adding), together ? " " + foreign->text + adding.attributes() : ""));
  bool filled = false;
  if (at_once) {
    filled = true;
  } else if (const ColumnPiece* value = column.piece(kDefault);
             value != nullptr && is_null(value->constraint->raw_expr)) {
    filled = false;
  } else if (value != nullptr) {
    const auto at = schema::scan(Adding::body(*value));
    const std::string body = Adding::body(*value);
    add_default(adding, at && at->size() > 1 ? body.substr((*at)[1].range.begin) : body);
    filled = true;
  } else if (column.traits.serial) {
    add_default(adding, add_sequence(adding));
    filled = true;
  }
  if (const ColumnPiece* check = column.piece(kCheck)) add_checked(adding, *check, "check", "", "");
  if (foreign != nullptr && !together)
    add_checked(adding, *foreign, "fkey", fmt::format("FOREIGN KEY ({}) ", column.name), adding.attributes());
  if (const ColumnPiece* unique = column.piece(kUnique))
    turn_unique(adding.turning, column.action.table, adding.constraint_name(*unique, "key"), {adding.name},
                false, unique->constraint->nulls_not_distinct ? " NULLS NOT DISTINCT" : "",
                adding.attributes());
  if (!at_once) add_not_null(adding, filled);
}

}  // namespace

namespace {

bool never_null(const PgQuery__Node* value) {
  static const std::set<std::string_view> kNeverNull{
      "now",    "clock_timestamp", "statement_timestamp", "transaction_timestamp", "gen_random_uuid",
      "random", "uuid_generate_v4"};
  while (const auto* cast = schema::as<PgQuery__TypeCast>(value)) value = cast->arg;
  if (const auto* constant = schema::as<PgQuery__AConst>(value)) return !constant->isnull;
  if (const auto* call = schema::as<PgQuery__FuncCall>(value))
    return kNeverNull.contains(schema::name_of(call->funcname, call->n_funcname).name);
  return schema::as<PgQuery__SQLValueFunction>(value) != nullptr ||
         (value != nullptr && value->node_case == PG_QUERY__NODE__NODE_A_ARRAY_EXPR);
}

// A sequence's number is not asked for twice: the question would use one up.
bool may_be_null(const std::string& value) {
  const auto statement = schema::parse_statement("SELECT " + value);
  const auto* select = statement ? schema::as<PgQuery__SelectStmt>(statement->node()) : nullptr;
  const auto* target = select != nullptr && select->n_target_list == 1
                           ? schema::as<PgQuery__ResTarget>(select->target_list[0])
                           : nullptr;
  if (target == nullptr || never_null(target->val)) return false;
  bool numbered = false;
  schema::walk(schema::content(target->val), [&](const schema::Message* message) {
    const auto* call = schema::as<PgQuery__FuncCall>(message);
    numbered =
        numbered || (call != nullptr && schema::name_of(call->funcname, call->n_funcname).name == "nextval");
    return !numbered;
  });
  return !numbered;
}

}  // namespace

Piece fill_step(const Turning& turning, const schema::QualifiedName& table, const std::string& column,
                const std::string& value, std::string_view why) {
  change::InStep in_step;
  in_step.table = quoted_table(table);
  if (const auto* known = turning.names.table(table))
    for (const auto& key : known->primary_key) in_step.key.push_back(schema::force_quote_identifier(key));
  in_step.assignment = fmt::format("{} = ({})", schema::force_quote_identifier(column), value);
  in_step.out_of_step = fmt::format("({} IS NULL)", schema::force_quote_identifier(column));
  // A default that is NULL (of a setting that is not there, say) leaves nothing to fill: without this its
  // rows would be out of step however often they are written.
  if (may_be_null(value))
    in_step.out_of_step =
        fmt::format("({} IS NULL AND ({}) IS NOT NULL)", schema::force_quote_identifier(column), value);
  Piece piece;
  piece.sql =
      fmt::format("UPDATE {} SET {} WHERE {}", in_step.table, in_step.assignment, in_step.out_of_step);
  piece.title = fmt::format("fill {} of {} in batches: {}", column, table.to_sql(), why);
  piece.backfill = std::move(in_step);
  piece.alone = piece.rewritten = true;
  return piece;
}

void turn_added_columns(const Turning& turning) {
  const schema::Script none;
  const lint::Options options{.catalog = turning.names.catalog()};
  const lint::Context context{.script = none, .statement = turning.statement, .options = options};
  lint::each_added_column(context, [&](const AddedColumn& column) {
    const auto* definition = schema::as<PgQuery__ColumnDef>(column.action.command.def);
    turn({turning, column, column.action.table.to_sql(), std::string(text_of(definition->colname))});
  });
}

namespace {

std::string not_null_helper(const schema::QualifiedName& table, const std::string& column) {
  return derive_name({"poundlock", table.name, column, "not_null"});
}

}  // namespace

bool has_not_null_helper(const Turning& turning, const schema::QualifiedName& table,
                         const std::string& column) {
  const auto* known = turning.names.table(table);
  const auto* there = known == nullptr ? nullptr : known->constraint(not_null_helper(table, column));
  return there != nullptr && there->kind == 'c' &&
         there->definition.starts_with(fmt::format("CHECK (({} IS NOT NULL))", quote_identifier(column)));
}

void turn_set_not_null(const Turning& turning, const schema::QualifiedName& table,
                       const std::string& column) {
  // Dropped at the end: no name that anybody else would give.
  const std::string name = has_not_null_helper(turning, table, column)
                               ? not_null_helper(table, column)
                               : own_constraint_name(turning, table, not_null_helper(table, column));
  const std::string quoted = quote_identifier(column);
  const std::string alter = "ALTER TABLE " + table.to_sql();
  const std::string is_set = change::attribute_probe(turning.names.resolve(table), column, "a.attnotnull");
  auto& pieces = turning.out.pieces;
  turning.out.add(fmt::format("{} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID", alter,
                              quote_identifier(name), quoted),
                  fmt::format("refuse new NULLs in {}", column));
  pieces.back().alone = true;
  pieces.back().or_probe = is_set;
  prove(turning, alter, name, fmt::format("that {} holds no NULL", column));
  pieces.back().or_probe = is_set;
  turning.out.add(fmt::format("{} ALTER COLUMN {} SET NOT NULL", alter, quoted),
                  fmt::format("make {} NOT NULL, which the proven check makes instant", column));
  pieces.back().alone = pieces.back().proven = true;
  // In one ALTER TABLE the check would be dropped first, and the table read.
  turning.out.add(fmt::format("{} DROP CONSTRAINT IF EXISTS {}", alter, quote_identifier(name)));
  pieces.back().joined = true;
  // As it stood before: without a way back for the helper there would be none for the NOT NULL either.
  pieces.back().undo = fmt::format(
      "{0} DROP CONSTRAINT IF EXISTS {1}, ADD CONSTRAINT {1} CHECK ({2} IS NOT "
      "NULL) NOT VALID",
      alter, quote_identifier(name), quoted);
}

}  // namespace poundlock::migration
