// Evaluations and the reach of revisions: the parts of AppMetrics that know of no path.
#include <algorithm>

#include "flag/rollout_flag.h"
#include "telemetry/app_metrics.h"

namespace poundlock::telemetry {
namespace {

constexpr std::size_t kAppliedKept = 16;

// Of KEY and of KEY.stage alike.
bool is_of(std::string_view evaluated, std::string_view flag) {
  if (evaluated.ends_with(flag::kStageSuffix) && evaluated.size() == flag.size() + flag::kStageSuffix.size())
    evaluated.remove_suffix(flag::kStageSuffix.size());
  return evaluated == flag;
}

bool is_new_side(std::string_view variant) {
  if (variant == "on") return true;
  const auto stage = flag::stage_from(variant);
  return stage && flag::is_new(*stage);
}

}  // namespace

const char* to_string(Reach reach) {
  switch (reach) {
    case Reach::kAcknowledged: return "acknowledged";
    case Reach::kDelivered: return "delivered";
    case Reach::kDeparted: return "departed";
    case Reach::kUnknown: return "unknown";
  }
  return "";
}

// Of a process under a name that another one had. What its stream took by now may be its own already.
void AppMetrics::begin_life(Instance& instance) {
  instance.info.applied = {};
  instance.applied.clear();
  instance.born = instance.seen;
}

void AppMetrics::note_applied(Instance& instance, flag::Revision applied, TimePoint now) {
  if (!instance.applied.empty() && instance.applied.back().first >= applied) return;
  instance.applied.emplace_back(applied, now);
  if (instance.applied.size() > kAppliedKept) instance.applied.pop_front();
}

void AppMetrics::grpc_opened(std::string_view service, std::string_view instance, std::string_view build,
                             bool anonymous, bool evaluates) {
  stream_opened(service, instance, build);
  const std::lock_guard guard(mutex_);
  const auto found = instances_.find({std::string(service), std::string(instance)});
  if (found == instances_.end()) return;
  found->second.anonymous = anonymous;
  // One that also registers or beats does acknowledge.
  if (found->second.applied.empty()) found->second.info.acknowledges = false;
  found->second.info.reports = !evaluates || found->second.sequence > 0;
}

void AppMetrics::delivered(std::string_view service, std::string_view instance, flag::Revision revision) {
  const std::lock_guard guard(mutex_);
  const auto found = instances_.find({std::string(service), std::string(instance)});
  if (found == instances_.end()) return;
  found->second.info.delivered = std::max(found->second.info.delivered, revision);
}

Ingested AppMetrics::heartbeat(const flag::Report& hello, std::optional<flag::Revision> applied,
                               Millis interval, std::string_view start) {
  const std::lock_guard guard(mutex_);
  forget_old();
  Instance* instance = instance_of(hello.service, hello.instance);
  if (instance == nullptr) return Ingested::kRefused;
  instance->member = true;
  instance->seen = clock_.steady();
  if (instance->start && !start.empty() && *instance->start != start) begin_life(*instance);
  if (!instance->start || !start.empty()) instance->start = std::string(start);
  instance->silence = std::min(interval, limits_.heartbeat_max) * 5 / 2;
  auto& info = instance->info;
  info.last_seen = clock_.now();
  info.departed = false;
  info.frozen = hello.frozen;
  info.legacy_path = hello.legacy_path;
  info.acknowledges = true;
  if (!hello.build.empty()) info.build = hello.build;
  if (applied) {
    info.applied = std::max(info.applied, *applied);
    note_applied(*instance, *applied, instance->seen);
  }
  return Ingested::kCounted;
}

std::vector<InstanceReach> AppMetrics::reach(flag::Revision revision, TimePoint at) {
  const std::lock_guard guard(mutex_);
  forget_old();
  std::vector<InstanceReach> out;
  for (const auto& [key, instance] : instances_) {
    if (!instance.member) continue;
    InstanceReach one{instance.info, Reach::kUnknown, std::nullopt};
    one.info.connected = is_connected(instance);
    if (instance.info.departed) {
      one.reach = Reach::kDeparted;
    } else if (instance.info.applied >= revision) {
      one.reach = Reach::kAcknowledged;
      const auto first = std::find_if(instance.applied.begin(), instance.applied.end(),
                                      [&](const auto& ack) { return ack.first >= revision; });
      if (first != instance.applied.end() && instance.born < at && first->second >= at)
        one.took = first->second - at;
    } else if (one.info.connected && instance.info.delivered >= revision) {
      one.reach = Reach::kDelivered;
    }
    out.push_back(std::move(one));
  }
  return out;
}

void AppMetrics::follow(EvaluationLog* log, FlagUsage* usage) {
  const std::lock_guard guard(mutex_);
  log_ = log;
  usage_ = usage;
}

void AppMetrics::take_evaluations() {
  const std::lock_guard guard(mutex_);
  take_evaluations_locked();
}

void AppMetrics::take_evaluations_locked() {
  if (log_ == nullptr) return;
  const auto rows = log_->take();
  if (rows.empty()) return;
  add_evaluation_totals(rows);
  for (auto& [flag, window] : windows_) add_evaluations(window, flag, rows, false);
  if (usage_) usage_->add(rows, clock_.now(), false);
}

// Unattested: done for a reader of whose build nothing is known.
void AppMetrics::add_evaluations(Window& window, const std::string& flag,
                                 const std::vector<flag::EvaluationReport>& rows, bool attested) {
  for (const auto& row : rows) {
    if (!is_of(row.flag, flag) || row.count == 0) continue;
    auto found = window.evaluated.find(row.context);
    if (found == window.evaluated.end()) {
      const bool room =
          window.evaluated.size() <= 2 * kContextsMax;  // the log lets in so many, and those kept
      found = window.evaluated.try_emplace(room ? row.context : std::string(kOtherContext)).first;
    }
    (is_new_side(row.variant) ? found->second.second : found->second.first) += row.count;
    if (attested) continue;
    window.unattested_at = clock_.now();
  }
}

void AppMetrics::add_evaluation_totals(const std::vector<flag::EvaluationReport>& rows) {
  for (const auto& row : rows) {
    const auto key = std::make_tuple(row.flag, row.variant, row.reason);
    if (evaluations_.size() >= limits_.evaluations_max && !evaluations_.contains(key)) {
      ++dropped_;
      continue;
    }
    EvaluationTotal& total = evaluations_[key];
    total.flag = row.flag;
    total.variant = row.variant;
    total.reason = row.reason;
    total.count += row.count;
  }
}

}  // namespace poundlock::telemetry
