#include "migration/settings.h"

#include <algorithm>

#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::text_of;

bool is_timeout(std::string_view setting) {
  return setting == "lock_timeout" || setting == "statement_timeout" ||
         setting == "idle_in_transaction_session_timeout" || setting == "deadlock_timeout";
}

// Who "$user" is, is known where the statements run, and not here.
Result<std::vector<std::string>> path_of(const PgQuery__VariableSetStmt& set) {
  std::vector<std::string> path;
  for (std::size_t i = 0; i < set.n_args; ++i) {
    const auto* value = as<PgQuery__AConst>(set.args[i]);
    const bool named = value != nullptr && value->val_case == PG_QUERY__A__CONST__VAL_SVAL;
    const std::string schema = named ? std::string(text_of(value->sval->sval)) : "";
    if (!schema.empty() && schema != "$user")
      path.push_back(schema);
    else if (i == 0)
      break;
  }
  if (!path.empty()) return path;
  return fail(user_error("plan.search_path", "this search_path does not tell which schema a name is in")
                  .with_hint("begin it with a schema's name, or qualify the names"));
}

}  // namespace

const std::vector<std::string>* Settings::path() const {
  const std::vector<std::string>* out = nullptr;
  for (const Setting& one : settings_)
    if (one.name == "search_path") out = &one.path;
  return out;
}

const Settings::Setting* Settings::other() const {
  const auto found =
      std::ranges::find_if(settings_, [](const Setting& one) { return one.name != "search_path"; });
  return found == settings_.end() ? nullptr : &*found;
}

void Settings::end_transaction() {
  std::erase_if(settings_, [](const Setting& one) { return one.local; });
}

Status Settings::take(const schema::Statement& statement) {
  const auto* set = as<PgQuery__VariableSetStmt>(statement.node());
  if (set == nullptr || is_timeout(text_of(set->name))) return {};
  const std::string name(text_of(set->name));
  // Steps are carried out, taken back and tried again in sessions of their own, and files by other tools.
  if (name == "role" || name == "session_authorization")
    return fail(user_error("plan.role", "the steps run as the role that the plan is given to")
                    .with_hint("leave it out, and run the plan as that role"));
  if (set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL) settings_.clear();
  // What a SET LOCAL hides counts again behind the transaction.
  const bool local = set->is_local != 0;
  std::erase_if(settings_, [&](const Setting& one) { return one.name == name && one.local == local; });
  const auto& tokens = statement.tokens();
  std::size_t first = 1;
  if (tokens.size() > 1) {
    const auto word = statement.slice(tokens[1].range);
    if (schema::equals_ignoring_case(word, "LOCAL") || schema::equals_ignoring_case(word, "SESSION"))
      first = 2;
  }
  const bool gives = set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE && !name.empty();
  if (!gives || tokens.size() <= first) return {};
  Setting setting{name, statement.text().substr(tokens[first].range.begin), local, {}};
  if (name == "search_path") {
    PL_TRY(setting.path, path_of(*set));
  }
  settings_.push_back(std::move(setting));
  return {};
}

}  // namespace poundlock::migration
