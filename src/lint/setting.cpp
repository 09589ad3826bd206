#include "lint/setting.h"

#include <algorithm>
#include <iterator>

#include "lint/context.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::StatementKind;
using schema::text_of;
using Source = SettingValue::Source;

std::optional<std::string> constant(const PgQuery__Node* node) {
  const auto* value = as<PgQuery__AConst>(node);
  if (value == nullptr || value->val_case != PG_QUERY__A__CONST__VAL_SVAL) return std::nullopt;
  return std::string(text_of(value->sval->sval));
}

// set_config() takes the list as one text: a, "B c". A quoted name with a comma in it is not told apart.
std::vector<std::string> words_of(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view word = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const auto first = word.find_first_not_of(" \t\r\n\"");
    if (first == std::string_view::npos) continue;
    word = word.substr(first, word.find_last_not_of(" \t\r\n\"") - first + 1);
    words.emplace_back(word);
  }
  return words;
}

class Follower {
 public:
  using Changes = std::vector<std::pair<std::size_t, SettingValue>>;

  Follower(std::string_view name, bool wrapped, Changes& changes)
      : name_(name), open_(wrapped), changes_(changes) {}

  void next(const schema::Statement& statement, std::size_t index) {
    index_ = index;
    switch (statement.kind()) {
      case StatementKind::kBegin:
        if (!open_) at_begin_ = session_;
        open_ = true;
        break;
      case StatementKind::kRollback: session_ = at_begin_; [[fallthrough]];
      case StatementKind::kCommit:
      case StatementKind::kPreparedTransaction: end(chains(statement)); break;
      case StatementKind::kSavepoint: savepoint(statement); break;
      case StatementKind::kDiscard:
        if (statement.node()->discard_stmt->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL) assign({}, false);
        break;
      case StatementKind::kSet:
      case StatementKind::kReset: set(statement); break;
      default:
        if (statement.text().find("set_config") != std::string::npos) set_config(statement);
    }
    const SettingValue& known = changes_.empty() ? kDefaultValue : changes_.back().second;
    if (known != current_) changes_.emplace_back(index + 1, current_);
  }

 private:
  inline static const SettingValue kDefaultValue;

  void assign(SettingValue value, bool local) {
    value.since = value.source == Source::kUnknown ? index_ : 0;
    if (!local) session_ = value;
    // SET LOCAL outside a transaction does nothing but warn.
    if (!local || open_) current_ = std::move(value);
  }

  void set(const schema::Statement& statement) {
    const auto* node = as<PgQuery__VariableSetStmt>(statement.node());
    if (node == nullptr) return;
    if (node->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL) return assign({}, false);
    if (!schema::equals_ignoring_case(text_of(node->name), name_)) return;
    SettingValue value;
    if (node->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE) {
      value.source = Source::kScript;
      for (std::size_t i = 0; i < node->n_args; ++i) {
        const auto word = constant(node->args[i]);
        if (!word) value.source = Source::kUnknown;
        value.words.push_back(word.value_or(""));
      }
    }
    assign(std::move(value), node->is_local);
  }

  void set_config(const schema::Statement& statement) {
    schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
      const auto* call = as<PgQuery__FuncCall>(message);
      if (call == nullptr || call->n_args != 3) return true;
      if (schema::name_of(call->funcname, call->n_funcname).name != "set_config") return true;
      const auto name = constant(call->args[0]);
      if (name && !schema::equals_ignoring_case(*name, name_)) return true;
      const auto text = constant(call->args[1]);
      SettingValue value{.source = name && text ? Source::kScript : Source::kUnknown};
      if (text) value.words = words_of(*text);
      const auto* local = as<PgQuery__AConst>(call->args[2]);
      const bool is_local =
          local != nullptr && local->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL && local->boolval->boolval;
      assign(std::move(value), is_local);
      return true;
    });
  }

  void end(bool chained) {
    current_ = session_;
    at_begin_ = session_;
    savepoints_.clear();
    open_ = chained;
  }

  void savepoint(const schema::Statement& statement) {
    const auto* node = as<PgQuery__TransactionStmt>(statement.node());
    if (node == nullptr || !open_) return;
    const std::string name(text_of(node->savepoint_name));
    if (node->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT) {
      savepoints_.push_back({name, session_, current_});
      return;
    }
    const auto last = std::ranges::find(savepoints_.rbegin(), savepoints_.rend(), name, &Savepoint::name);
    if (last == savepoints_.rend()) return;
    const bool back = node->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO;
    if (back) {
      session_ = last->session;
      current_ = last->current;
    }
    savepoints_.erase(back ? last.base() : std::prev(last.base()), savepoints_.end());
  }

  struct Savepoint {
    std::string name;
    SettingValue session, current;
  };
  std::string_view name_;
  bool open_;
  Changes& changes_;
  std::size_t index_ = 0;
  SettingValue session_, current_, at_begin_;
  std::vector<Savepoint> savepoints_;
};

}  // namespace

Setting::Setting(std::string_view name, const schema::Script& script, bool wrapped) {
  Follower follower(name, wrapped, changes_);
  for (std::size_t i = 0; i < script.statements.size(); ++i) follower.next(script.statements[i], i);
}

const SettingValue& Setting::before(std::size_t statement) const {
  static const SettingValue kDefault;
  const auto after =
      std::ranges::upper_bound(changes_, statement, {}, [](const auto& change) { return change.first; });
  return after == changes_.begin() ? kDefault : std::prev(after)->second;
}

}  // namespace poundlock::lint
