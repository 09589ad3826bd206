// Steps as text and as JSON: plans are kept in the store and shown by the API.
#include "change/step.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/json.h"
#include "change/step_json.h"

namespace poundlock::change {
namespace {

constexpr std::array kPhases{std::pair{Phase::kPrepare, "prepare"},
                             std::pair{Phase::kDualWrite, "dual_write"}, std::pair{Phase::kExpose, "expose"},
                             std::pair{Phase::kContract, "contract"}};

constexpr std::array kKinds{std::pair{StepKind::kTransaction, "transaction"},
                            std::pair{StepKind::kStandalone, "standalone"},
                            std::pair{StepKind::kBackfill, "backfill"},
                            std::pair{StepKind::kVerify, "verify"}, std::pair{StepKind::kCheck, "check"}};

template <typename Table, typename Value>
const char* name_in(const Table& table, Value value) {
  for (const auto& [entry, name] : table) {
    if (entry == value) return name;
  }
  return "unknown";
}

template <typename Table>
auto value_in(const Table& table, std::string_view text, const char* what)
    -> Result<typename std::remove_cvref_t<decltype(table[0])>::first_type> {
  for (const auto& [entry, name] : table) {
    if (text == name) return entry;
  }
  return fail(user_error("step.unknown", fmt::format("no {} is called '{}'", what, text)));
}

json::Array list_of(const std::vector<std::string>& texts) {
  json::Array list;
  for (const auto& text : texts) list.emplace_back(text);
  return list;
}

Result<std::vector<std::string>> texts_of(const json::Object& object, std::string_view key) {
  std::vector<std::string> texts;
  PL_TRY(const json::Array* list, json::optional_array(object, key));
  if (list == nullptr) return texts;
  for (const auto& item : *list) {
    PL_TRY(auto text, json::as_string(item, key));
    texts.push_back(std::move(text));
  }
  return texts;
}

json::Object in_step_json(const InStep& in_step) {
  return {{"table", in_step.table},
          {"key", list_of(in_step.key)},
          {"assignment", in_step.assignment},
          {"out_of_step", in_step.out_of_step},
          {"out_of_step_open", in_step.out_of_step_open},
          {"conflicts", in_step.conflicts},
          {"installed_probe", in_step.installed_probe},
          {"opened_probe", in_step.opened_probe}};
}

Result<InStep> in_step_from(const json::Object& object) {
  InStep in_step;
  PL_TRY(in_step.table, json::get_string(object, "table"));
  PL_TRY(in_step.key, texts_of(object, "key"));
  PL_TRY(in_step.assignment, json::get_string(object, "assignment"));
  PL_TRY(in_step.out_of_step, json::get_string(object, "out_of_step"));
  PL_TRY(auto open, json::optional_string(object, "out_of_step_open"));
  PL_TRY(auto conflicts, json::optional_string(object, "conflicts"));
  in_step.out_of_step_open = open.value_or("");
  in_step.conflicts = conflicts.value_or("");
  PL_TRY(auto installed, json::optional_string(object, "installed_probe"));
  PL_TRY(auto opened, json::optional_string(object, "opened_probe"));
  in_step.installed_probe = installed.value_or("");
  in_step.opened_probe = opened.value_or("");
  return in_step;
}

Result<std::string> text_or_empty(const json::Object& object, std::string_view key) {
  PL_TRY(auto text, json::optional_string(object, key));
  return text.value_or("");
}

}  // namespace

const char* to_string(Phase phase) {
  return name_in(kPhases, phase);
}
Result<Phase> phase_from(std::string_view text) {
  return value_in(kPhases, text, "phase");
}
const char* to_string(StepKind kind) {
  return name_in(kKinds, kind);
}
Result<StepKind> step_kind_from(std::string_view text) {
  return value_in(kKinds, text, "kind of step");
}

boost::json::value to_json(const Step& step) {
  json::Object object{{"id", step.id},
                      {"phase", to_string(step.phase)},
                      {"kind", to_string(step.kind)},
                      {"title", step.title},
                      {"check", step.check},
                      {"sql", list_of(step.sql)},
                      {"probe", step.probe},
                      {"undo", list_of(step.undo)},
                      {"undo_standalone", step.undo_standalone},
                      {"repair", list_of(step.repair)},
                      {"repair_when", step.repair_when},
                      {"undo_when", step.undo_when},
                      {"relation", step.relation},
                      {"lock_mode", step.lock_mode},
                      {"lock_timeout_ms", step.lock_timeout.count()},
                      {"statement_timeout_ms", step.statement_timeout.count()},
                      {"blocks_writers", step.blocks_writers},
                      {"destructive", step.destructive}};
  if (step.in_step) object["in_step"] = in_step_json(*step.in_step);
  if (step.open) object["open"] = true;
  return object;
}

Result<Step> step_from_json(const boost::json::value& value) {
  PL_TRY(const json::Object* object, json::as_object(value, "step"));
  Step step;
  PL_TRY(step.id, json::get_string(*object, "id"));
  PL_TRY(const auto phase, json::get_string(*object, "phase"));
  PL_TRY(step.phase, phase_from(phase));
  PL_TRY(const auto kind, json::get_string(*object, "kind"));
  PL_TRY(step.kind, step_kind_from(kind));
  PL_TRY(step.title, text_or_empty(*object, "title"));
  PL_TRY(step.check, text_or_empty(*object, "check"));
  PL_TRY(step.sql, texts_of(*object, "sql"));
  PL_TRY(step.probe, text_or_empty(*object, "probe"));
  PL_TRY(step.undo, texts_of(*object, "undo"));
  PL_TRY(step.undo_standalone, json::get_bool(*object, "undo_standalone"));
  PL_TRY(step.repair, texts_of(*object, "repair"));
  PL_TRY(step.repair_when, text_or_empty(*object, "repair_when"));
  PL_TRY(step.undo_when, text_or_empty(*object, "undo_when"));
  PL_TRY(step.relation, text_or_empty(*object, "relation"));
  PL_TRY(step.lock_mode, text_or_empty(*object, "lock_mode"));
  PL_TRY(const auto lock_ms, json::get_int(*object, "lock_timeout_ms", 0, 3'600'000));
  PL_TRY(const auto statement_ms, json::get_int(*object, "statement_timeout_ms", 0, 86'400'000));
  step.lock_timeout = Millis{lock_ms};
  step.statement_timeout = Millis{statement_ms};
  PL_TRY(step.blocks_writers, json::get_bool(*object, "blocks_writers"));
  PL_TRY(step.destructive, json::get_bool(*object, "destructive"));
  PL_TRY(const json::Object* in_step, json::optional_object(*object, "in_step"));
  if (in_step != nullptr) {
    PL_TRY(step.in_step, in_step_from(*in_step));
  }
  if (json::find(*object, "open")) {
    PL_TRY(step.open, json::get_bool(*object, "open"));
  }
  return step;
}

}  // namespace poundlock::change
