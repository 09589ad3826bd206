#include "migration/check_text.h"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <vector>

#include "schema/identifier.h"
#include "schema/sql.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::text_of;

// In a text of ours: an expression that has no one text, a constant that PostgreSQL may print otherwise
// (from kFrom to kTo), and the place before an operator's or function's name, where its schema may stand.
// Control characters, which no text of the author's keeps here.
constexpr char kUnknown = '\x01';
constexpr char kFrom = '\x02';
constexpr char kTo = '\x03';
constexpr char kSchema = '\x04';
constexpr char kWord = '\x05';  // a string that bytea prints by its bytes
constexpr char kWordEnd = '\x06';

constexpr bool is_mark(char c) {
  return c >= kUnknown && c <= kWordEnd;
}

std::string text(const PgQuery__Node* node);

std::string listed(PgQuery__Node* const* nodes, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? "" : ",") + text(nodes[i]);
  return out;
}

std::string unsure(std::string text) {
  return kFrom + std::move(text) + kTo;
}

// A word that no usual type reads as something else: 'yes' is true, 'now' a time.
bool is_plain_word(std::string_view text) {
  static const std::set<std::string_view> special{
      "t",        "f",   "y",     "n",        "true",  "false", "yes", "no",       "on",
      "off",      "now", "today", "tomorrow", "epoch", "nan",   "inf", "allballs", "yesterday",
      "infinity", "tr",  "tru",   "fa",       "fal",   "fals",  "ye",  "of"};
  constexpr std::size_t kLongest = 31;  // of 32 letters it may be a uuid
  if (text.empty() || text.size() > kLongest) return false;
  std::string small;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (small.empty() || c < '0' || c > '9')) return false;
    small += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return !special.contains(small);
}

std::string constant(const PgQuery__AConst& value) {
  if (value.isnull) return "NULL";
  switch (value.val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL: return std::to_string(value.ival->ival);
    case PG_QUERY__A__CONST__VAL_BOOLVAL: return value.boolval->boolval ? "true" : "false";
    case PG_QUERY__A__CONST__VAL_FVAL: {
      std::string number(text_of(value.fval->fval));
      const bool plain = number.find_first_not_of("0123456789.") == number.npos && number.front() != '.' &&
                         number.back() != '.';
      return plain ? number : unsure(std::move(number));
    }
    case PG_QUERY__A__CONST__VAL_SVAL: {
      std::string word(text_of(value.sval->sval));
      std::erase_if(word, is_mark);
      return is_plain_word(word) ? kWord + word + kWordEnd : unsure(std::move(word));
    }
    default: return std::string(1, kUnknown);
  }
}

bool is_constant(const PgQuery__Node* node) {
  while (const auto* cast = as<PgQuery__TypeCast>(node)) node = cast->arg;
  return as<PgQuery__AConst>(node) != nullptr;
}

bool is_null(const PgQuery__Node* node) {
  while (const auto* cast = as<PgQuery__TypeCast>(node)) node = cast->arg;
  const auto* value = as<PgQuery__AConst>(node);
  return value != nullptr && value->isnull;
}

std::string joined(std::string_view left, std::string_view word, std::string_view right) {
  return fmt::format("({}{}{})", left, word, right);
}

// IN of constants is one array; of one element a comparison; with columns in it PostgreSQL sorts them.
std::string in_list(const PgQuery__AExpr& expression, const std::string& left, const std::string& name) {
  const auto* list = as<PgQuery__List>(expression.rexpr);
  if (list == nullptr || list->n_items == 0) return std::string(1, kUnknown);
  const bool in = name == "=";
  if (list->n_items == 1 && is_constant(list->items[0]))
    return joined(left, kSchema + std::string(in ? "=" : "<>"), text(list->items[0]));
  for (std::size_t i = 0; i < list->n_items; ++i)
    if (!is_constant(list->items[i])) return std::string(1, kUnknown);
  return joined(left, kSchema + std::string(in ? "=ANY" : "<>ALL"),
                fmt::format("(ARRAY[{}])", listed(list->items, list->n_items)));
}

std::string operation(const PgQuery__AExpr& expression) {
  const auto names = schema::strings(expression.name, expression.n_name);
  std::string name = names.empty() ? "" : names.back();
  if (name == "!=") name = "<>";
  const std::string word = kSchema + name;
  const std::string left = expression.lexpr == nullptr ? "" : text(expression.lexpr);
  const auto* bounds = as<PgQuery__List>(expression.rexpr);
  switch (expression.kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR: return joined(left, word, text(expression.rexpr));
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY: return joined(left, word + "ANY", text(expression.rexpr));
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL: return joined(left, word + "ALL", text(expression.rexpr));
    // Of NULL it is kept as IS [NOT] NULL.
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
      if (is_null(expression.lexpr) || is_null(expression.rexpr)) break;
      return joined(left, " IS DISTINCT FROM ", text(expression.rexpr));
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
      if (is_null(expression.lexpr) || is_null(expression.rexpr)) break;
      return fmt::format("(NOT {})", joined(left, " IS DISTINCT FROM ", text(expression.rexpr)));
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN: return in_list(expression, left, name);
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN: {
      if (bounds == nullptr || bounds->n_items != 2) break;
      const bool in = expression.kind == PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN;
      const auto bound = [&](std::string_view how, std::size_t i) {
        return joined(left, kSchema + std::string(how), text(bounds->items[i]));
      };
      return in ? joined(bound(">=", 0), " AND ", bound("<=", 1))
                : joined(bound("<", 0), " OR ", bound(">", 1));
    }
    default: break;
  }
  return std::string(1, kUnknown);
}

// BETWEEN brings an AND of its own, which PostgreSQL's text holds inside another one.
void flatten(const PgQuery__Node* node, PgQuery__BoolExprType how, std::vector<std::string>& out) {
  if (const auto* inner = as<PgQuery__BoolExpr>(node); inner != nullptr && inner->boolop == how) {
    for (std::size_t i = 0; i < inner->n_args; ++i) flatten(inner->args[i], how, out);
    return;
  }
  const auto* pair = as<PgQuery__AExpr>(node);
  const auto kind = how == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR ? PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN
                                                              : PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN;
  std::string one = text(node);
  if (pair != nullptr && pair->kind == kind && one.front() == '(') one = one.substr(1, one.size() - 2);
  out.push_back(std::move(one));
}

std::string boolean(const PgQuery__BoolExpr& expression) {
  if (expression.boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR)
    return expression.n_args == 1 ? fmt::format("(NOT {})", text(expression.args[0]))
                                  : std::string(1, kUnknown);
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < expression.n_args; ++i) flatten(expression.args[i], expression.boolop, parts);
  const bool all = expression.boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
  return fmt::format("({})", fmt::join(parts, all ? " AND " : " OR "));
}

std::string test(const PgQuery__BooleanTest& expression) {
  const char* words[] = {"", "TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN"};
  const auto at = static_cast<std::size_t>(expression.booltesttype);
  if (at == 0 || at >= std::size(words)) return std::string(1, kUnknown);
  return fmt::format("({} IS {})", text(expression.arg), words[at]);
}

std::string call(const PgQuery__FuncCall& expression) {
  const auto names = schema::strings(expression.funcname, expression.n_funcname);
  if (names.empty() || expression.over != nullptr || expression.agg_filter != nullptr ||
      expression.n_agg_order > 0 || expression.func_variadic || expression.agg_star)
    return std::string(1, kUnknown);
  std::string out =
      fmt::format("{}{}({})", kSchema, names.back(), listed(expression.args, expression.n_args));
  // extract(year FROM at) and its like; and text(a), which is kept as a cast.
  static const std::set<std::string_view> types{"text", "varchar",   "bpchar",     "json", "jsonb",
                                                "xml",  "uuid",      "bytea",      "name", "regclass",
                                                "date", "timestamp", "timestamptz"};
  const bool sql = expression.funcformat == PG_QUERY__COERCION_FORM__COERCE_SQL_SYNTAX;
  return sql || (expression.n_args == 1 && types.contains(names.back())) ? unsure(std::move(out)) : out;
}

std::string cases(const PgQuery__CaseExpr& expression) {
  std::string out = "(CASE";
  if (expression.arg != nullptr) out += " " + text(expression.arg);
  for (std::size_t i = 0; i < expression.n_args; ++i) {
    const auto* node = expression.args[i];
    if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_CASE_WHEN) return std::string(1, kUnknown);
    out += fmt::format(" WHEN {} THEN {}", text(node->case_when->expr), text(node->case_when->result));
  }
  const bool other = expression.defresult != nullptr;
  return unsure(fmt::format("{} ELSE {} END)", out, other ? text(expression.defresult) : "NULL"));
}

std::string text(const PgQuery__Node* node) {
  while (const auto* cast = as<PgQuery__TypeCast>(node)) node = cast->arg;
  if (node == nullptr) return std::string(1, kUnknown);
  if (const auto* value = as<PgQuery__AConst>(node)) return constant(*value);
  if (const auto* expression = as<PgQuery__AExpr>(node)) return operation(*expression);
  if (const auto* expression = as<PgQuery__BoolExpr>(node)) return boolean(*expression);
  if (const auto* expression = as<PgQuery__FuncCall>(node)) return call(*expression);
  if (const auto* column = as<PgQuery__ColumnRef>(node)) {
    const auto parts = schema::strings(column->fields, column->n_fields);
    if (parts.empty() || parts.back().empty()) return std::string(1, kUnknown);
    std::string name = parts.back();
    std::erase_if(name, is_mark);
    return name.find(':') == name.npos ? name : unsure(std::move(name));  // what follows is read as a cast
  }
  if (const auto* null = as<PgQuery__NullTest>(node)) {
    const bool is = null->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    return fmt::format("({} IS {})", text(null->arg), is ? "NULL" : "NOT NULL");
  }
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST: return test(*node->boolean_test);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
      return fmt::format("COALESCE({})", listed(node->coalesce_expr->args, node->coalesce_expr->n_args));
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
      return fmt::format("{}({})",
                         node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "GREATEST" : "LEAST",
                         listed(node->min_max_expr->args, node->min_max_expr->n_args));
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
      return fmt::format("(ARRAY[{}])", listed(node->a_array_expr->elements, node->a_array_expr->n_elements));
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
      return unsure(fmt::format("CURRENT {}", static_cast<int>(node->sqlvalue_function->op)));
    case PG_QUERY__NODE__NODE_CASE_EXPR: return cases(*node->case_expr);
    default: return std::string(1, kUnknown);
  }
}

std::string without_marks(std::string text) {
  std::erase_if(text, [](char c) { return is_mark(c) && c != kUnknown; });
  return text;
}

// "CHECK ((a > 0)) NOT VALID" as a constraint; the statement keeps the tree.
Result<schema::Statement> parsed(std::string_view definition) {
  return schema::parse_statement(fmt::format("ALTER TABLE t ADD CONSTRAINT c {}", definition));
}

const PgQuery__Constraint* constraint_in(const schema::Statement& statement) {
  const auto* alter = as<PgQuery__AlterTableStmt>(statement.node());
  const auto* command =
      alter == nullptr || alter->n_cmds != 1 ? nullptr : as<PgQuery__AlterTableCmd>(alter->cmds[0]);
  return command == nullptr ? nullptr : as<PgQuery__Constraint>(command->def);
}

Alike same_check(const PgQuery__Constraint& wanted, const PgQuery__Constraint& there) {
  if ((wanted.is_no_inherit != 0) != (there.is_no_inherit != 0)) return Alike::kNo;
  const std::string a = without_marks(text(wanted.raw_expr));
  const std::string b = without_marks(text(there.raw_expr));
  if (a.find(kUnknown) != a.npos || b.find(kUnknown) != b.npos) return Alike::kUnknown;
  if (a == b) return Alike::kYes;
  // A constant may be printed otherwise than it was written; the columns are what they are.
  return text(wanted.raw_expr).find(kFrom) == std::string::npos ? Alike::kNo : Alike::kUnknown;
}

std::string_view or_usual(const char* action) {  // of ON DELETE and ON UPDATE
  const auto given = text_of(action);
  return given.empty() ? "a" : given;
}

Alike same_key(const PgQuery__Constraint& wanted, const PgQuery__Constraint& there) {
  const auto names = [](PgQuery__Node* const* nodes, std::size_t count) {
    return schema::strings(nodes, count);
  };
  const auto match = [](const PgQuery__Constraint& one) {
    const auto given = text_of(one.fk_matchtype);
    return given.empty() ? std::string_view("s") : given;
  };
  if (wanted.pktable == nullptr || there.pktable == nullptr) return Alike::kUnknown;
  const bool same = names(wanted.fk_attrs, wanted.n_fk_attrs) == names(there.fk_attrs, there.n_fk_attrs) &&
                    text_of(wanted.pktable->relname) == text_of(there.pktable->relname) &&
                    (wanted.n_pk_attrs == 0 ||
                     names(wanted.pk_attrs, wanted.n_pk_attrs) == names(there.pk_attrs, there.n_pk_attrs)) &&
                    or_usual(wanted.fk_del_action) == or_usual(there.fk_del_action) &&
                    or_usual(wanted.fk_upd_action) == or_usual(there.fk_upd_action) &&
                    match(wanted) == match(there) && (wanted.deferrable != 0) == (there.deferrable != 0) &&
                    (wanted.initdeferred != 0) == (there.initdeferred != 0);
  return same ? Alike::kYes : Alike::kNo;
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Taken away from both sides, since PostgreSQL puts them where it likes.
constexpr std::string_view kPassedOver = "()[] \t\r\n\f\v'\"";

// For PostgreSQL's regular expressions.
std::string pattern_of(const std::string& text) {
  std::string out = "^";
  int unsure_depth = 0;
  for (const char c : text) {
    if (c == kTo) --unsure_depth;
    if (unsure_depth == 0 && (c == kFrom || c == kUnknown)) out += ".*";
    if (unsure_depth == 0 && c == kSchema) out += "(.*\\.)?";  // OPERATOR(app.=), app.is_valid
    if (unsure_depth == 0 && c == kWord) out += "(";
    if (unsure_depth == 0 && c == kWordEnd) out += "|\\\\x[0-9a-f]+)";  // as bytea
    if (c == kFrom) ++unsure_depth;
    if (unsure_depth > 0 || is_mark(c) || kPassedOver.find(c) != kPassedOver.npos) continue;
    if (!is_plain(c)) out += '\\';
    out += c;
  }
  return out + "$";
}

constexpr const char* kPassedOverThere =
    R"(::((character|bit) varying|double precision|(timestamp|time)(\(\d+\))? with(out)? time zone|)"
    R"(("([^"]|"")+"|[[:alnum:]_$]+)(\.("([^"]|"")+"|[[:alnum:]_$]+))?)(\(-?\d+(,-?\d+)?\))?(\[\])*)"
    R"(|[][()\s'"])";

// Every column that the expression names, in order; nullopt where a whole row is named.
std::optional<std::set<std::string>> columns_of(const PgQuery__Node* expression, std::string_view table) {
  std::set<std::string> out;
  bool whole = false;
  schema::walk(schema::content(expression), [&](const schema::Message* message) {
    const auto* column = as<PgQuery__ColumnRef>(message);
    if (column == nullptr) return true;
    const auto parts = schema::strings(column->fields, column->n_fields);
    whole = whole || parts.empty() || parts.back().empty() || parts.back() == table;
    if (!whole) out.insert(parts.back());
    return true;
  });
  return whole ? std::nullopt : std::optional(std::move(out));
}

}  // namespace

Alike same_constraint(const PgQuery__Constraint& wanted, std::string_view definition) {
  const auto statement = parsed(definition);
  const auto* there = statement ? constraint_in(*statement) : nullptr;
  if (there == nullptr) return Alike::kUnknown;
  if (there->contype != wanted.contype) return Alike::kNo;
  if (wanted.contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN) return same_key(wanted, *there);
  return wanted.contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK ? same_check(wanted, *there) : Alike::kUnknown;
}

std::string printed_as(std::string_view printed, const PgQuery__Node* wanted) {
  return fmt::format("pg_catalog.regexp_replace({}, {}, '', 'g') ~ {}", printed,
                     schema::quote_literal(kPassedOverThere),
                     schema::quote_literal(pattern_of(text(wanted))));
}

std::string check_condition(const PgQuery__Constraint& wanted, std::string_view table) {
  const auto columns = columns_of(wanted.raw_expr, table);
  if (!columns) return "k.contype = 'c'";  // printed as t.*, or not at all as it was written
  std::string out =
      "k.contype = 'c' AND " + printed_as("pg_catalog.pg_get_expr(k.conbin, k.conrelid)", wanted.raw_expr);
  std::string names;
  for (const auto& one : *columns) names += (names.empty() ? "" : ", ") + schema::quote_literal(one);
  return out + fmt::format(
                   " AND ARRAY(SELECT a.attname::text COLLATE \"C\" FROM pg_catalog.pg_attribute a WHERE "
                   "a.attrelid "
                   "= k.conrelid AND a.attnum = ANY (k.conkey) ORDER BY 1) = ARRAY[{}]::text[]",
                   names);
}

}  // namespace poundlock::migration
