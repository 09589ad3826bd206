#include "migration/search_path.h"

#include <fmt/format.h>

namespace poundlock::migration {
namespace {

// Behind the literal that begins at `at`, E'...' too.
std::size_t end_of_literal(std::string_view text, std::size_t at) {
  const bool escapes = at < text.size() && text[at] == 'E';
  if (escapes) ++at;
  for (++at; at < text.size(); ++at) {
    if (escapes && text[at] == '\\')
      ++at;
    else if (text[at] == '\'' && at + 1 < text.size() && text[at + 1] == '\'')
      ++at;
    else if (text[at] == '\'')
      return at + 1;
  }
  return text.size();
}

// "n.nspname = 'HERE' AND c.relname = 'orders'" is the relation that the session finds; a type or a function
// may be in any of its schemas.
void bind(std::string& text) {
  const std::string qualifier = fmt::format("\"{}\".", kBySession);
  for (auto at = text.find(qualifier); at != text.npos; at = text.find(qualifier, at))
    text.erase(at, qualifier.size());
  const std::string here = fmt::format(".nspname = '{}'", kBySession);
  const std::string literal = fmt::format("'{}'", kBySession);
  for (auto at = text.find(here); at != text.npos; at = text.find(here, at)) {
    const std::size_t alias = at - 1;  // of one letter
    const std::size_t rest = at + here.size();
    const auto name = text.find(".relname = ", rest);
    if (text.compare(rest, 5, " AND ") == 0 && name == rest + 6) {
      const std::size_t value = name + std::string_view(".relname = ").size();
      const std::size_t end = end_of_literal(text, value);
      text.replace(alias, end - alias,
                   fmt::format("{}.oid = pg_catalog.to_regclass(pg_catalog.quote_ident({}))", text[rest + 5],
                               text.substr(value, end - value)));
    } else {
      text.replace(at, here.size(), ".nspname = ANY (pg_catalog.current_schemas(false))");
    }
  }
  for (auto at = text.find(literal); at != text.npos; at = text.find(literal, at))
    text.replace(at, literal.size(), "pg_catalog.current_schema()");
}

void bind(std::vector<std::string>& texts) {
  for (auto& one : texts) bind(one);
}

void bind(change::Step& step) {
  for (auto* text : {&step.title, &step.relation, &step.probe, &step.repair_when}) bind(*text);
  for (auto* texts : {&step.sql, &step.undo, &step.repair}) bind(*texts);
  if (!step.in_step) return;
  for (auto* text : {&step.in_step->table, &step.in_step->assignment, &step.in_step->out_of_step})
    bind(*text);
}

}  // namespace

void leave_to_session(SqlPlan& plan) {
  for (auto& one : plan.steps) bind(one.step);
  for (auto& item : plan.plan.items) {
    bind(item.title);
    if (item.step) bind(*item.step);
  }
}

}  // namespace poundlock::migration
