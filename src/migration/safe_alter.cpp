// ALTER TABLE: one action at a time where an action does more than write the catalog.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "lint/context.h"
#include "lint/locks.h"
#include "lint/partitions.h"
#include "lint/types.h"
#include "migration/safe_form.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using lint::Action;
using schema::quote_identifier;
using schema::text_of;

constexpr const char* kWindow =
    "accept it in a maintenance window, with the rule's name in a comment: -- poundlock: ignore RULE reason";

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

struct NewType {
  std::string type;
  std::string by;  // what stands behind USING; ""
  const PgQuery__Node* expression = nullptr;
};

bool is_column(const PgQuery__Node* node, std::string_view column) {
  const auto* ref = schema::as<PgQuery__ColumnRef>(node);
  return ref != nullptr && ref->n_fields == 1 && schema::strings(ref->fields, 1).front() == column;
}

bool is_text(std::string_view type) {
  const auto spec = lint::type_spec(type);
  return spec && !spec->array && (spec->name == "text" || spec->name == "varchar" || spec->name == "bpchar");
}

// The zone of `column AT TIME ZONE 'zone'`, as SQL; "": it is something else.
std::string zone_of(const PgQuery__Node* expression, std::string_view column) {
  const auto* call = schema::as<PgQuery__FuncCall>(expression);
  if (call == nullptr || call->n_args != 2 || !is_column(call->args[1], column)) return {};
  const auto* zone = schema::as<PgQuery__AConst>(call->args[0]);
  const bool text = zone != nullptr && zone->val_case == PG_QUERY__A__CONST__VAL_SVAL;
  if (!text || schema::name_of(call->funcname, call->n_funcname).name != "timezone") return {};
  return schema::quote_literal(schema::text_of(zone->sval->sval));
}

// Between a time with a zone and one without the session's TimeZone decides.
bool depends_on_zone(std::string_view from, std::string_view to) {
  const auto a = lint::type_spec(from), b = lint::type_spec(to);
  const auto zoned = [](const lint::TypeSpec& one) { return one.name.ends_with("tz"); };
  return a && b && a->name.starts_with("time") && b->name.starts_with("time") && zoned(*a) != zoned(*b);
}

// What ALTER does is an assignment: it refuses a value that is too long, which a cast would cut. So `up` is
// the column itself, or what the author has written behind USING; `down` is "" where only a person knows it.
ColumnProposal retyped(const Action& action, const schema::Column* known, const NewType& wanted) {
  const std::string quoted = quote_identifier(action.name);
  const std::string fresh = schema::derive_name({action.name, "new"});
  ColumnProposal out{.table = action.table,
                     .from = action.name,
                     .to = fresh,
                     .type = wanted.type,
                     .default_expr = {},
                     .up = wanted.by.empty() ? quoted : wanted.by,
                     .down = quote_identifier(fresh)};
  const std::string old_type = known == nullptr ? "OLD_TYPE" : known->type;
  // To a type that text is not assigned to, back from text takes a cast.
  if (known == nullptr || (is_text(wanted.type) && !is_text(known->type))) out.down += "::" + old_type;
  const auto* cast = schema::as<PgQuery__TypeCast>(wanted.expression);
  const bool same_value = wanted.by.empty() || is_column(wanted.expression, action.name) ||
                          (cast != nullptr && is_column(cast->arg, action.name));
  if (same_value && known != nullptr && depends_on_zone(known->type, wanted.type)) {
    out.down.clear();
    return out;
  }
  if (same_value) {
    if (known != nullptr && known->default_expr) out.default_expr = *known->default_expr;
    return out;
  }
  const std::string zone = zone_of(wanted.expression, action.name);
  out.down = zone.empty() ? "" : fmt::format("{} AT TIME ZONE {}", quote_identifier(fresh), zone);
  return out;
}

void turn_type(const Turning& turning, const Action& action) {
  const auto* column = schema::as<PgQuery__ColumnDef>(action.command.def);
  const schema::Column* known = turning.names.column(action.table, action.name);
  if (column == nullptr || column->type_name == nullptr) return;
  const auto to = lint::type_spec(*column->type_name);
  const auto from = known == nullptr ? std::nullopt : lint::type_spec(known->type);
  if (from && column->raw_default == nullptr && lint::changes_without_rewrite(*from, to)) {
    turning.out.add(turning.statement.text());
    turning.out.pieces.back().alone = turning.out.pieces.back().proven = true;
    turning.out.pieces.back().rewritten = false;
    return;
  }
  const auto words = turning.statement.words({"TYPE"}, action.range.begin);
  NewType wanted;
  wanted.type = trimmed(turning.statement.slice({words.end, action.range.end}));
  if (const auto tokens = schema::scan(wanted.type))
    if (const auto at = schema::find_words(wanted.type, *tokens, {"USING"})) {
      wanted.by = trimmed(std::string_view(wanted.type).substr(at->end));
      wanted.type = trimmed(std::string_view(wanted.type).substr(0, at->begin));
    }
  wanted.expression = column->raw_default;
  const ColumnProposal proposal = retyped(action, known, wanted);
  const std::string quoted = schema::quote_identifier(action.name);
  std::vector<std::string> choices{
      "a rollout of change_column: a new column of the new type, kept in step, then the old one dropped",
      kWindow};
  if (proposal.down.empty() && known != nullptr && depends_on_zone(known->type, wanted.type))
    choices.front() = fmt::format(
        "say the time zone, USING {} AT TIME ZONE 'UTC', for a cast takes the one of the session that runs "
        "it; then a rollout of change_column does it",
        quoted);
  else if (proposal.down.empty())
    choices.front() += fmt::format(
        "; its `up` is {}, and its `down`, which makes the old value of the new one, a person has to write",
        wanted.by);
  turning.out.decide(
      turning.statement,
      fmt::format(
          "changing the type of {}{} writes the whole table anew while nobody can read it{}", quoted,
          known == nullptr ? "" : " from " + known->type,
          known == nullptr ? ", unless the present type allows it without, which --database-url tells" : ""),
      std::move(choices), proposal.down.empty() ? "" : propose_rollout(proposal));
}

bool proven_not_null(const Turning& turning, const Action& action) {
  const auto* table = turning.names.table(action.table);
  if (table == nullptr) return false;
  if (const auto* column = table->column(action.name); column != nullptr && column->not_null) return true;
  if (has_not_null_helper(turning, action.table, action.name)) return false;  // it is to be dropped behind
  const std::string wanted = fmt::format("CHECK (({} IS NOT NULL))", schema::quote_identifier(action.name));
  for (const auto& constraint : table->constraints)
    if (constraint.kind == 'c' && constraint.validated && constraint.definition == wanted) return true;
  return false;
}

void turn_drop(const Turning& turning, const Action& action) {
  if (action.command.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
    return turning.out.decide(
        turning.statement, "CASCADE takes along whatever depends on the column, and nobody has listed it",
        {"leave CASCADE out: PostgreSQL then lists what depends on it; drop each by its own statement"});
  Piece piece;
  piece.sql = turning.statement.text();
  piece.phase = change::Phase::kContract;
  piece.alone = true;
  turning.out.pieces.push_back(std::move(piece));
  turning.out.notes.push_back(
      fmt::format("{}.{} is dropped in the contract phase, when the reference gate has found no reader",
                  action.table.to_sql(), schema::quote_identifier(action.name)));
}

// The only column of a partition key, "RANGE (at)"; "" for several.
std::string key_column(const std::string& key) {
  std::vector<std::string> columns;
  const auto open = key.find('(');
  const auto statement = schema::parse_statement("SELECT " + (open == key.npos ? "" : key.substr(open)));
  if (!statement) return {};
  schema::walk(schema::content(statement->node()), [&](const schema::Message* message) {
    if (const auto* column = schema::as<PgQuery__ColumnRef>(message))
      for (const auto& name : schema::strings(column->fields, column->n_fields))
        if (std::ranges::find(columns, name) == columns.end()) columns.push_back(name);
    return true;
  });
  return columns.size() == 1 ? columns.front() : "";
}

// Of the catalog; one that the script has made itself nobody uses yet.
const schema::Table* default_of(const Turning& turning, const schema::Table& parent) {
  return turning.names.catalog() == nullptr ? nullptr
                                            : lint::default_partition(*turning.names.catalog(), parent);
}

// CONCURRENTLY leaves a CHECK of the bounds on the partition, which the author's statement does not.
void turn_detach(const Turning& turning, const Action& action) {
  const auto* command = schema::as<PgQuery__PartitionCmd>(action.command.def);
  const auto* parent = turning.names.table(action.table);
  const auto* rest = parent == nullptr ? nullptr : default_of(turning, *parent);
  if (rest != nullptr && command != nullptr && command->concurrent)
    return turning.out.decide(
        turning.statement,
        fmt::format(
            "PostgreSQL detaches no partition concurrently where there is a default partition, and {} "
            "is one",
            rest->qualified().to_sql()),
        {"leave CONCURRENTLY out: the parent and the default partition are locked with ACCESS EXCLUSIVE for "
         "an "
         "instant, behind the longest transaction that uses one of them"});
  // With its true lock: there is no other way.
  if (rest != nullptr || command == nullptr || command->concurrent || command->name == nullptr) {
    turning.out.add(turning.statement.text());
    turning.out.pieces.back().alone = true;
    turning.out.pieces.back().rewritten = false;
    turning.out.pieces.back().proven = rest != nullptr;
    return;
  }
  const schema::QualifiedName partition = turning.names.resolve(schema::name_of(*command->name));
  if (parent == nullptr)
    return turning.out.decide(
        turning.statement,
        "it keeps readers and writers out of the whole table, and CONCURRENTLY, which does not, leaves a "
        "CHECK "
        "on the partition, whose name the columns of the partition key tell",
        {"give --database-url, so that they are known",
         "write DETACH PARTITION ... CONCURRENTLY, and drop that CHECK where it is not wanted"});
  const ChosenName check = book_of(turning).constraint(partition, key_column(parent->partition_key), "check");
  if (!check.sure)
    return turning.out.decide(
        turning.statement,
        "CONCURRENTLY, which keeps nobody out of the table, leaves a CHECK on the partition; what that is "
        "called "
        "the statements before this one leave open, so that no step can drop it",
        {"put it into a migration of its own",
         "write DETACH PARTITION ... CONCURRENTLY, and drop that CHECK where it is not wanted"});
  turning.out.add(turning.statement.text() + " CONCURRENTLY");
  turning.out.pieces.back().alone = true;
  turning.out.add(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", partition.to_sql(),
                              quote_identifier(check.name)),
                  fmt::format("drop the CHECK of its bounds that this leaves on {}", partition.to_sql()));
  turning.out.pieces.back().alone = turning.out.pieces.back().proven = true;
}

// The whole statement, which is one action.
void turn_action(const Turning& turning, const Action& action) {
  switch (action.command.subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn: return turn_added_columns(turning);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint: return turn_constraint(turning);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
      if (!proven_not_null(turning, action)) return turn_set_not_null(turning, action.table, action.name);
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType: return turn_type(turning, action);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn: return turn_drop(turning, action);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition: return turn_detach(turning, action);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetLogged:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetUnLogged:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetAccessMethod:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetTableSpace:
      return turning.out.decide(
          turning.statement, "it writes the whole table anew while nobody can read it",
          {"a new table with that setting, kept in step and exchanged for the old one", kWindow});
    default: break;
  }
  turning.out.add(turning.statement.text());
  turning.out.pieces.back().rewritten = false;
  turning.out.pieces.back().proven = action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull;
  turning.out.pieces.back().alone = lint::action_lock(action.command).work != lint::Work::kCatalogOnly;
}

bool takes_thought(const Action& action) {
  switch (action.command.subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn: {
      const auto* column = schema::as<PgQuery__ColumnDef>(action.command.def);
      return column == nullptr || column->n_constraints > 0 || lint::column_traits(*column).serial;
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint: return true;
    default: return lint::action_lock(action.command).work != lint::Work::kCatalogOnly;
  }
}

// Every action but the simple ones becomes statements of its own.
void turn_actions(const Turning& turning) {
  std::vector<Action> actions;
  lint::each_action(turning.statement, [&](const Action& action) { actions.push_back(action); });
  const bool simple = std::ranges::none_of(actions, takes_thought);
  if (actions.empty() || simple) {
    turning.out.add(turning.statement.text());
    turning.out.pieces.back().rewritten = false;
    return;
  }
  if (actions.size() == 1) return turn_action(turning, actions.front());
  const std::string head = turning.statement.text().substr(0, actions.front().range.begin);
  for (const Action& action : actions) {
    auto one = schema::parse_statement(head + std::string(turning.statement.slice(action.range)));
    if (!one) continue;  // an action of a statement that parses parses by itself
    const std::size_t before = turning.out.pieces.size();
    turn_actions({*one, turning.names, turning.out});
    for (std::size_t i = before; i < turning.out.pieces.size(); ++i) turning.out.pieces[i].rewritten = true;
  }
}

}  // namespace

void turn_alter_table(const Turning& turning) {
  const auto* alter = schema::as<PgQuery__AlterTableStmt>(turning.statement.node());
  const bool only = alter != nullptr && alter->relation != nullptr && !alter->relation->inh;
  const bool if_exists = alter != nullptr && alter->missing_ok;
  if (!only && !if_exists) return turn_actions(turning);
  // The statements that an action becomes, the backfills above all, can say neither ONLY nor IF EXISTS.
  SafeForm form;
  turn_actions({turning.statement, turning.names, form});
  if (std::ranges::none_of(form.pieces, &Piece::rewritten)) {
    std::ranges::move(form.pieces, std::back_inserter(turning.out.pieces));
    std::ranges::move(form.decisions, std::back_inserter(turning.out.decisions));
    std::ranges::move(form.notes, std::back_inserter(turning.out.notes));
    std::ranges::move(form.unindexed, std::back_inserter(turning.out.unindexed));
    return;
  }
  const char* word = only ? "ONLY" : "IF EXISTS";
  turning.out.decide(
      turning.statement,
      fmt::format("as it stands it is not safe beside live traffic, and the statements that would be cannot "
                  "all say {}",
                  word),
      {only ? "leave ONLY out, where the table has no children or they are meant too"
            : "leave IF EXISTS out, where the table is there",
       kWindow});
}

}  // namespace poundlock::migration
