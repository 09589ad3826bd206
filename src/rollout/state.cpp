#include "rollout/state.h"

#include <array>
#include <boost/json.hpp>
#include <limits>

#include "base/json.h"

namespace poundlock::rollout {
namespace {

namespace bj = boost::json;
constexpr std::array<const char*, 6> kModes{"running",     "paused", "rolling_back",
                                            "rolled_back", "done",   "aborted"};

bj::object numbers(const std::map<std::string, double>& map) {
  bj::object out;
  for (const auto& [key, value] : map) out[key] = value;
  return out;
}

bj::object revision_json(const flag::Revision& revision) {
  return {{"epoch", revision.epoch}, {"number", revision.number}};
}

bj::object flag_json(const FlagSetting& flag) {
  return {{"stage", flag.stage},
          {"internal_percentage", flag.internal_percentage},
          {"percentage", flag.percentage},
          {"exclusions", flag.exclusions}};
}

bj::array buckets_json(const Histogram& histogram) {
  bj::array out;
  for (const auto& [index, count] : histogram.buckets()) out.push_back(bj::array{index, count});
  return out;
}

bj::object baseline_json(const Baseline& baseline) {
  bj::object paths, controls;
  for (const auto& [name, path] : baseline.paths) {
    paths[name] = bj::object{
        {"attempts", path.attempts}, {"errors", path.errors}, {"latency", buckets_json(path.latency)}};
  }
  for (const auto& [name, latency] : baseline.controls) controls[name] = buckets_json(latency);
  return {{"at", baseline.at.ms},
          {"seconds", baseline.seconds},
          {"application", baseline.application},
          {"paths", paths},
          {"controls", controls},
          {"values", numbers(baseline.values)},
          {"differences", numbers(baseline.differences)}};
}

bj::object reading_json(const GateReading& reading) {
  bj::object out{{"gate", reading.gate},      {"verdict", to_string(reading.verdict)},
                 {"limit", reading.limit},    {"unit", reading.unit},
                 {"reason", reading.reason},  {"waived", reading.waived},
                 {"no_data", reading.no_data}};
  out["value"] = reading.value ? bj::value(*reading.value) : bj::value(nullptr);
  return out;
}

bj::object rollback_json(const RollbackRecord& record) {
  return {{"cause", record.cause},
          {"reason", record.reason},
          {"began", record.began.ms},
          {"flag_off", record.flag_off.ms},
          {"everybody_back", record.everybody_back.ms},
          {"revision", revision_json(record.revision)}};
}

// Reads what to_json wrote. A field of another type is a damaged store; the caught exception becomes
// one error, since no single field can be mended by itself.
// What JSON cannot say (NaN, infinities) is stored as null: one such figure must not cost the rollout.
double read_number(const bj::value& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.to_number<double>();
}

std::map<std::string, double> read_numbers(const bj::value& json) {
  std::map<std::string, double> out;
  for (const auto& [key, value] : json.as_object()) out[key] = read_number(value);
  return out;
}

flag::Revision read_revision(const bj::value& json) {
  return {json.at("epoch").to_number<std::uint64_t>(), json.at("number").to_number<std::uint64_t>()};
}

TimePoint read_time(const bj::value& json) {
  return TimePoint{json.to_number<std::int64_t>()};
}
std::string read_text(const bj::value& json) {
  return std::string(json.as_string());
}

FlagSetting read_flag(const bj::value& json) {
  return {read_text(json.at("stage")), json.at("internal_percentage").to_number<double>(),
          json.at("percentage").to_number<double>(), json.at("exclusions").as_bool()};
}

Histogram read_buckets(const bj::value& json) {
  Histogram out;
  for (const auto& bucket : json.as_array())
    out.add_bucket(bucket.at(0).to_number<std::uint16_t>(), bucket.at(1).to_number<std::uint64_t>());
  return out;
}

Baseline read_baseline(const bj::value& json) {
  Baseline out;
  out.at = read_time(json.at("at"));
  out.seconds = json.at("seconds").to_number<double>();
  if (const auto* application = json.as_object().if_contains("application"))
    out.application = application->as_bool();
  out.values = read_numbers(json.at("values"));
  out.differences = read_numbers(json.at("differences"));
  for (const auto& [name, path] : json.at("paths").as_object()) {
    PathBaseline& into = out.paths[name];
    into.attempts = path.at("attempts").to_number<std::uint64_t>();
    into.errors = path.at("errors").to_number<std::uint64_t>();
    into.latency = read_buckets(path.at("latency"));
  }
  for (const auto& [name, latency] : json.at("controls").as_object())
    out.controls[name] = read_buckets(latency);
  return out;
}

GateReading read_reading(const bj::value& json) {
  GateReading out;
  out.gate = read_text(json.at("gate"));
  const auto verdict = json.at("verdict").as_string();
  out.verdict = verdict == "pass" ? Verdict::kPass : verdict == "fail" ? Verdict::kFail : Verdict::kHold;
  if (!json.at("value").is_null()) out.value = json.at("value").to_number<double>();
  out.limit = read_number(json.at("limit"));
  out.unit = read_text(json.at("unit"));
  out.reason = read_text(json.at("reason"));
  out.waived = json.at("waived").as_bool();
  out.no_data = json.at("no_data").as_bool();
  return out;
}

RollbackRecord read_rollback(const bj::value& json) {
  return {read_text(json.at("cause")),          read_text(json.at("reason")),
          read_time(json.at("began")),          read_time(json.at("flag_off")),
          read_time(json.at("everybody_back")), read_revision(json.at("revision"))};
}

std::vector<std::string> read_texts(const bj::value& json) {
  std::vector<std::string> out;
  for (const auto& value : json.as_array()) out.push_back(read_text(value));
  return out;
}

bj::object request_json(const Request& request) {
  return {{"kind", static_cast<int>(request.kind)},
          {"who", request.who},
          {"why", request.why},
          {"subject", request.subject}};
}

void read_scalars(const bj::value& json, RolloutState& out) {
  const auto mode = json.at("mode").as_string();
  for (std::size_t i = 0; i < kModes.size(); ++i)
    if (mode == kModes[i]) out.mode = static_cast<Mode>(i);
  out.position = json.at("position").to_number<std::size_t>();
  out.generation = json.at("generation").to_number<std::uint64_t>();
  out.started = read_time(json.at("started"));
  out.last_tick = read_time(json.at("last_tick"));
  out.item_since = read_time(json.at("item_since"));
  out.dwelt = Millis{json.at("dwelt").to_number<std::int64_t>()};
  out.holding_since = read_time(json.at("holding_since"));
  out.retry_at = read_time(json.at("retry_at"));
  out.pause_reason = read_text(json.at("pause_reason"));
  out.paused_by_gate = json.at("paused_by_gate").as_bool();
  out.paused_since = read_time(json.at("paused_since"));
  out.mark = json.at("mark").to_number<std::uint64_t>();
  out.mark_at = read_time(json.at("mark_at"));
  out.undo_close = json.at("undo_close").to_number<std::size_t>();
  out.undo_all = json.at("undo_all").as_bool();
  out.abort = json.at("abort").as_bool();
  out.restoring = json.at("restoring").as_bool();
}

RolloutState read_state(const bj::value& json) {
  RolloutState out;
  out.rollout = read_text(json.at("rollout"));
  read_scalars(json, out);
  for (const auto& [id, value] : json.at("steps").as_object()) {
    StepRecord& record = out.steps[id];
    record.done = value.at("done").as_bool();
    record.attempts = value.at("attempts").to_number<std::uint32_t>();
    record.at = read_time(value.at("at"));
    record.figures = read_numbers(value.at("figures"));
    record.detail = read_text(value.at("detail"));
  }
  for (const auto& [name, value] : json.at("windows").as_object())
    out.windows[name] = Millis{value.to_number<std::int64_t>()};
  for (const auto& [name, value] : json.at("approvals").as_object()) out.approvals[name] = read_text(value);
  if (!json.at("baseline").is_null()) out.baseline = read_baseline(json.at("baseline"));
  out.marks = read_numbers(json.at("marks"));
  out.flag = read_flag(json.at("flag"));
  out.flag_revision = read_revision(json.at("flag_revision"));
  for (const auto& value : json.at("gates").as_array()) out.gates.push_back(read_reading(value));
  out.undo = read_texts(json.at("undo"));
  if (const auto& pending = json.at("pending_rollback"); !pending.is_null()) {
    out.pending_rollback =
        Request{static_cast<RequestKind>(pending.at("kind").to_number<int>()), read_text(pending.at("who")),
                read_text(pending.at("why")), read_text(pending.at("subject"))};
  }
  for (const auto& value : json.at("rollbacks").as_array()) out.rollbacks.push_back(read_rollback(value));
  out.journal = read_texts(json.at("journal"));
  return out;
}

}  // namespace

const char* to_string(Mode mode) {
  return kModes[static_cast<std::size_t>(mode)];
}

bj::value to_json(const RolloutState& state) {
  bj::object out{{"rollout", state.rollout},
                 {"mode", to_string(state.mode)},
                 {"position", state.position},
                 {"generation", state.generation},
                 {"started", state.started.ms},
                 {"last_tick", state.last_tick.ms},
                 {"item_since", state.item_since.ms},
                 {"dwelt", state.dwelt.count()},
                 {"holding_since", state.holding_since.ms},
                 {"retry_at", state.retry_at.ms},
                 {"pause_reason", state.pause_reason},
                 {"paused_by_gate", state.paused_by_gate},
                 {"paused_since", state.paused_since.ms},
                 {"mark", state.mark},
                 {"mark_at", state.mark_at.ms},
                 {"marks", numbers(state.marks)},
                 {"flag", flag_json(state.flag)},
                 {"flag_revision", revision_json(state.flag_revision)},
                 {"undo_close", state.undo_close},
                 {"undo_all", state.undo_all},
                 {"abort", state.abort},
                 {"restoring", state.restoring}};
  bj::object steps, windows, approvals;
  for (const auto& [id, record] : state.steps) {
    steps[id] = bj::object{{"done", record.done},
                           {"attempts", record.attempts},
                           {"at", record.at.ms},
                           {"figures", numbers(record.figures)},
                           {"detail", record.detail}};
  }
  for (const auto& [name, value] : state.windows) windows[name] = value.count();
  for (const auto& [name, who] : state.approvals) approvals[name] = who;
  bj::array gates, rollbacks;
  for (const auto& reading : state.gates) gates.push_back(reading_json(reading));
  for (const auto& record : state.rollbacks) rollbacks.push_back(rollback_json(record));
  out["steps"] = std::move(steps);
  out["windows"] = std::move(windows);
  out["approvals"] = std::move(approvals);
  out["baseline"] = state.baseline ? bj::value(baseline_json(*state.baseline)) : bj::value(nullptr);
  out["gates"] = std::move(gates);
  out["undo"] = bj::array(state.undo.begin(), state.undo.end());
  out["pending_rollback"] =
      state.pending_rollback ? bj::value(request_json(*state.pending_rollback)) : bj::value(nullptr);
  out["rollbacks"] = std::move(rollbacks);
  out["journal"] = bj::array(state.journal.begin(), state.journal.end());
  return out;
}

Result<RolloutState> state_from_json(const bj::value& json) {
  try {
    return read_state(json);
  } catch (const std::exception& error) {
    return fail(
        internal_error(std::string("the stored state of a rollout cannot be read: ") + error.what())
            .with_hint("the store is damaged or was written by another version; restore its last copy"));
  }
}

}  // namespace poundlock::rollout
