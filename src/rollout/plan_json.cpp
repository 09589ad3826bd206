// A plan as the store keeps it. Reading is strict: a damaged plan must not steer anything.
#include <boost/json.hpp>
#include <utility>

#include "base/json.h"
#include "change/step_json.h"
#include "rollout/plan.h"

namespace poundlock::rollout {
namespace {

using change::ColumnRef;
using change::Profile;
using change::Step;
using json::Array;
using json::Object;
using json::Value;

// Which names are known is said by to_string, so that each stands in one place.
template <typename Enum, std::size_t N>
Result<Enum> enum_from(const Object& object, std::string_view key, const Enum (&known)[N]) {
  PL_TRY(const std::string text, json::get_string(object, key));
  for (const Enum one : known) {
    if (text == to_string(one)) return one;
  }
  return fail(user_error("plan.json", "unknown " + std::string(key) + " '" + text + "'"));
}

constexpr Moment kMoments[] = {Moment::kBaseline,   Moment::kPrepare,    Moment::kDualWrite,
                               Moment::kExpose,     Moment::kObserve,    Moment::kRelease,
                               Moment::kBeforeDrop, Moment::kUndoExpand, Moment::kExpand};
constexpr ItemKind kItemKinds[] = {ItemKind::kStep,    ItemKind::kBaseline, ItemKind::kGates,
                                   ItemKind::kFlag,    ItemKind::kExposure, ItemKind::kWindow,
                                   ItemKind::kApproval};
constexpr Phase kPhases[] = {Phase::kPrepare, Phase::kDualWrite, Phase::kExpose, Phase::kContract};
constexpr Profile kProfiles[] = {Profile::kAdditive, Profile::kQuick, Profile::kFull};

Result<Millis> get_millis(const Object& object, std::string_view key) {
  PL_TRY(const std::int64_t ms, json::get_int(object, key, 0));
  return Millis{ms};
}

// --- lists -----------------------------------------------------------------------------------------

template <typename T, typename Write>
Array list(const std::vector<T>& values, Write write) {
  Array out;
  for (const T& value : values) out.emplace_back(write(value));
  return out;
}

// Each element by `read`, which takes a Value.
template <typename T, typename Read>
Result<std::vector<T>> read_list(const Object& object, std::string_view key, Read read) {
  PL_TRY(const Array* values, json::get_array(object, key));
  std::vector<T> out;
  out.reserve(values->size());
  for (const Value& value : *values) {
    PL_TRY(T one, read(value));
    out.push_back(std::move(one));
  }
  return out;
}

// --- the parts -------------------------------------------------------------------------------------

Object write_position(const SourcePosition& where) {
  return {{"file", where.file}, {"line", where.line}, {"column", where.column}};
}

Result<SourcePosition> read_position(const Object& object) {
  PL_TRY(const Object* where, json::get_object(object, "where"));
  SourcePosition position;
  PL_TRY(position.file, json::get_string(*where, "file"));
  PL_TRY(const std::int64_t line, json::get_int(*where, "line", 0, 1 << 30));
  PL_TRY(const std::int64_t column, json::get_int(*where, "column", 0, 1 << 30));
  position.line = static_cast<int>(line);
  position.column = static_cast<int>(column);
  return position;
}

Object write_setting(const FlagSetting& setting) {
  return {{"stage", setting.stage},
          {"internal_percentage", setting.internal_percentage},
          {"percentage", setting.percentage},
          {"exclusions", setting.exclusions}};
}

Result<FlagSetting> read_setting(const Object& object) {
  FlagSetting setting;
  PL_TRY(setting.stage, json::get_string(object, "stage"));
  PL_TRY(setting.internal_percentage, json::get_double(object, "internal_percentage", 0, 100));
  PL_TRY(setting.percentage, json::get_double(object, "percentage", 0, 100));
  PL_TRY(setting.exclusions, json::get_bool(object, "exclusions"));
  return setting;
}

Object write_item(const Item& item) {
  Object out{{"id", item.id},
             {"kind", to_string(item.kind)},
             {"phase", change::to_string(item.phase)},
             {"title", item.title},
             {"duration_ms", item.duration.count()}};
  if (item.step) out["step"] = change::to_json(*item.step);
  if (item.flag) out["flag"] = write_setting(*item.flag);
  if (!item.window.empty()) out["window"] = item.window;
  if (!item.approval.empty()) out["approval"] = item.approval;
  if (item.moment) out["moment"] = to_string(*item.moment);
  return out;
}

// What decide() takes for granted of each kind.
Status check_item(const Item& item) {
  const bool ok = (item.kind != ItemKind::kStep || item.step) &&
                  (item.kind != ItemKind::kGates || item.moment) &&
                  ((item.kind != ItemKind::kFlag && item.kind != ItemKind::kExposure) || item.flag) &&
                  (item.kind != ItemKind::kWindow || !item.window.empty()) &&
                  (item.kind != ItemKind::kApproval || !item.approval.empty());
  if (ok) return {};
  return fail(user_error("plan.json", "the item '" + item.id + "' is incomplete"));
}

Result<Item> read_item(const Value& value) {
  PL_TRY(const Object* object, json::as_object(value, "item"));
  Item item;
  PL_TRY(item.id, json::get_string(*object, "id"));
  PL_TRY(item.kind, enum_from(*object, "kind", kItemKinds));
  PL_TRY(item.phase, enum_from(*object, "phase", kPhases));
  PL_TRY(item.title, json::get_string(*object, "title"));
  PL_TRY(item.duration, get_millis(*object, "duration_ms"));
  if (const Value* step = json::find(*object, "step")) {
    PL_TRY(item.step, change::step_from_json(*step));
  }
  PL_TRY(const Object* setting, json::optional_object(*object, "flag"));
  if (setting) {
    PL_TRY(item.flag, read_setting(*setting));
  }
  PL_TRY(auto window, json::optional_string(*object, "window"));
  PL_TRY(auto approval, json::optional_string(*object, "approval"));
  item.window = std::move(window).value_or("");
  item.approval = std::move(approval).value_or("");
  if (json::find(*object, "moment")) {
    PL_TRY(item.moment, enum_from(*object, "moment", kMoments));
  }
  PL_CHECK(check_item(item));
  return item;
}

Object write_column(const ColumnRef& column) {
  return {{"schema", column.schema}, {"table", column.table}, {"column", column.column}};
}

Result<ColumnRef> read_column(const Value& value) {
  PL_TRY(const Object* object, json::as_object(value, "column"));
  ColumnRef column;
  PL_TRY(column.schema, json::get_string(*object, "schema"));
  PL_TRY(column.table, json::get_string(*object, "table"));
  PL_TRY(column.column, json::get_string(*object, "column"));
  return column;
}

Object write_path(const PathSpec& path) {
  return {{"name", path.name},
          {"legacy", path.legacy},
          {"new", path.fresh},
          {"sample", path.sample},
          {"where", write_position(path.where)}};
}

Result<PathSpec> read_path(const Value& value) {
  PL_TRY(const Object* object, json::as_object(value, "path"));
  PathSpec path;
  PL_TRY(path.name, json::get_string(*object, "name"));
  PL_TRY(path.legacy, json::get_string(*object, "legacy"));
  PL_TRY(path.fresh, json::get_string(*object, "new"));
  PL_TRY(path.sample, json::get_string(*object, "sample"));
  PL_TRY(path.where, read_position(*object));
  return path;
}

Object write_rule(const TargetingRule& rule) {
  Object out{{"context", rule.context}, {"enabled", rule.enabled}};
  if (rule.percentage) out["percentage"] = *rule.percentage;
  return out;
}

Result<TargetingRule> read_rule(const Value& value) {
  PL_TRY(const Object* object, json::as_object(value, "rule"));
  TargetingRule rule;
  PL_TRY(rule.context, json::get_string(*object, "context"));
  PL_TRY(rule.enabled, json::get_bool(*object, "enabled"));
  PL_TRY(rule.percentage, json::optional_double(*object, "percentage", 0, 100));
  return rule;
}

Object write_flag(const FlagSpec& flag) {
  return {{"key", flag.key},
          {"enabled", flag.enabled},
          {"steps", list(flag.steps, [](double step) { return step; })},
          {"initial_percentage", flag.initial_percentage},
          {"interval_ms", flag.interval.count()},
          {"rules", list(flag.rules, write_rule)},
          {"where", write_position(flag.where)}};
}

Result<FlagSpec> read_flag(const Object& object) {
  FlagSpec flag;
  PL_TRY(flag.key, json::get_string(object, "key"));
  PL_TRY(flag.enabled, json::get_bool(object, "enabled"));
  PL_TRY(flag.steps, read_list<double>(object, "steps", [](const Value& value) {
           return json::as_double(value, "step", 0, 100);
         }));
  PL_TRY(flag.initial_percentage, json::get_double(object, "initial_percentage", 0, 100));
  PL_TRY(flag.interval, get_millis(object, "interval_ms"));
  PL_TRY(flag.rules, read_list<TargetingRule>(object, "rules", read_rule));
  PL_TRY(flag.where, read_position(object));
  return flag;
}

Object write_gate(const GateOverride& gate) {
  Object out;
  if (gate.limit) out["limit"] = *gate.limit;
  if (gate.min_samples) out["min_samples"] = *gate.min_samples;
  if (gate.deadline) out["deadline_ms"] = gate.deadline->count();
  if (gate.waived) out["waived"] = *gate.waived;
  return out;
}

Result<GateOverride> read_gate(const Value& value) {
  PL_TRY(const Object* object, json::as_object(value, "gate"));
  GateOverride gate;
  PL_TRY(gate.limit, json::optional_double(*object, "limit"));
  PL_TRY(gate.min_samples, json::optional_uint(*object, "min_samples"));
  PL_TRY(const auto deadline, json::optional_int(*object, "deadline_ms", 0));
  if (deadline) gate.deadline = Millis{*deadline};
  PL_TRY(gate.waived, json::optional_string(*object, "waived"));
  return gate;
}

Value write_step(const Step& step) {
  return change::to_json(step);
}
Result<Step> read_step(const Value& value) {
  return change::step_from_json(value);
}

Status read_windows(const Object& object, Windows& windows) {
  PL_TRY(const Object* values, json::get_object(object, "windows"));
  PL_TRY(windows.overlap, get_millis(*values, "overlap_ms"));
  PL_TRY(windows.dual_write, get_millis(*values, "dual_write_ms"));
  PL_TRY(windows.observe, get_millis(*values, "observe_ms"));
  return {};
}

Status read_gates(const Object& object, std::map<std::string, GateOverride>& gates) {
  PL_TRY(const Object* values, json::get_object(object, "gates"));
  for (const auto& entry : *values) {
    PL_TRY(gates[std::string(entry.key())], read_gate(entry.value()));
  }
  return {};
}

}  // namespace

boost::json::value to_json(const Plan& plan) {
  Object gates;
  for (const auto& [id, gate] : plan.gates) gates[id] = write_gate(gate);
  Object out{{"rollout", plan.rollout},
             {"database", plan.database},
             {"profile", change::to_string(plan.profile)},
             {"speed", plan.speed},
             {"items", list(plan.items, write_item)},
             {"close_sync", list(plan.close_sync, write_step)},
             {"restore", list(plan.restore, write_step)},
             {"legacy", list(plan.legacy, write_column)},
             {"fresh", list(plan.fresh, write_column)},
             {"paths", list(plan.paths, write_path)},
             {"windows", Object{{"overlap_ms", plan.windows.overlap.count()},
                                {"dual_write_ms", plan.windows.dual_write.count()},
                                {"observe_ms", plan.windows.observe.count()}}},
             {"gates", std::move(gates)},
             {"notes", list(plan.notes, [](const std::string& note) { return Value(note); })}};
  if (plan.flag) out["flag"] = write_flag(*plan.flag);
  return out;
}

Result<Plan> plan_from_json(const boost::json::value& value) {
  PL_TRY(const Object* object, json::as_object(value, "plan"));
  Plan plan;
  PL_TRY(plan.rollout, json::get_string(*object, "rollout"));
  PL_TRY(plan.database, json::get_string(*object, "database"));
  PL_TRY(plan.profile, enum_from(*object, "profile", kProfiles));
  PL_TRY(plan.speed, json::get_double(*object, "speed", 0));
  PL_TRY(plan.items, read_list<Item>(*object, "items", read_item));
  PL_TRY(plan.close_sync, read_list<Step>(*object, "close_sync", read_step));
  PL_TRY(plan.restore, read_list<Step>(*object, "restore", read_step));
  PL_TRY(plan.legacy, read_list<ColumnRef>(*object, "legacy", read_column));
  PL_TRY(plan.fresh, read_list<ColumnRef>(*object, "fresh", read_column));
  PL_TRY(plan.paths, read_list<PathSpec>(*object, "paths", read_path));
  PL_CHECK(read_windows(*object, plan.windows));
  PL_CHECK(read_gates(*object, plan.gates));
  PL_TRY(plan.notes, read_list<std::string>(*object, "notes",
                                            [](const Value& note) { return json::as_string(note, "note"); }));
  PL_TRY(const Object* flag, json::optional_object(*object, "flag"));
  if (flag) {
    PL_TRY(plan.flag, read_flag(*flag));
  }
  return plan;
}

}  // namespace poundlock::rollout
