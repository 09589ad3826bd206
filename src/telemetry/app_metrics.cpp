#include "telemetry/app_metrics.h"

#include <algorithm>
#include <iterator>

namespace poundlock::telemetry {
namespace {

using flag::PathReport;
using flag::Report;
using flag::Side;

constexpr Millis kForgetEvery{10'000};

void add(flag::Counts& to, const flag::Counts& from) {
  to.attempts += from.attempts;
  to.timeouts += from.timeouts;
  to.deadlocks += from.deadlocks;
  to.connection += from.connection;
  to.other += from.other;
}

std::size_t index_of(Side side) {
  return side == Side::kLegacy ? 0 : 1;
}

}  // namespace

AppMetrics::AppMetrics(const Clock& clock, AppMetricsLimits limits) : clock_(clock), limits_(limits) {}

Ingested AppMetrics::ingest(const Report& report) {
  const std::lock_guard guard(mutex_);
  forget_old();
  Instance* instance = instance_of(report.service, report.instance);
  if (instance == nullptr) return Ingested::kRefused;
  instance->seen = clock_.steady();
  instance->info.last_seen = clock_.now();
  const bool new_life = report.sequence == 0 || (report.sequence == 1 && instance->sequence > 1);
  // Who only sends figures has no sequence of its own: what is new of them was worked out before.
  if (report.member && !new_life && report.sequence <= instance->sequence) return Ingested::kDuplicate;
  if (report.member) {
    auto& info = instance->info;
    instance->member = true;
    info.build = report.build;
    info.legacy_path = report.legacy_path;
    info.departed = false;
    info.frozen = report.frozen;
    // A report that was made before an acknowledgement may arrive after it.
    info.applied = new_life ? report.applied : std::max(info.applied, report.applied);
    info.acknowledges = true;
    if (new_life) {
      instance->applied.clear();
      instance->born = instance->seen;
    }
    note_applied(*instance, info.applied, instance->seen);
    instance->sequence = report.sequence;
  }
  const InstanceKey key{report.service, report.instance};
  if (report.member && report.sequence == 0) {
    close_breakers(key);
    return Ingested::kCounted;
  }
  ++reports_;
  add_totals(report);
  if (report.member) {
    drop_unlisted_breakers(report, key);
    add_breakers(report, key, *instance);  // before the windows forget which report straddles their mark
  }
  add_to_windows(report, key, *instance);
  return Ingested::kCounted;
}

AppMetrics::Instance* AppMetrics::instance_of(std::string_view service, std::string_view name) {
  InstanceKey key{std::string(service), std::string(name)};
  if (const auto found = instances_.find(key); found != instances_.end()) return &found->second;
  if (instances_.size() >= limits_.instances_max && !make_room()) {
    ++dropped_;
    return nullptr;
  }
  Instance& made = instances_[key];
  made.info.service = key.first;
  made.info.instance = key.second;
  made.info.last_seen = clock_.now();
  made.seen = clock_.steady();
  made.born = made.seen;
  made.number = next_number_++;
  return &made;
}

// Who left properly makes room: who is merely silent may still serve users from an old snapshot. But one
// without a name could never be told to be back, and whoever connects again and again would fill the table.
// Where that is not enough, whoever was heard of in its first moments only, and not for as long as somebody
// who left is remembered: made-up names would keep real instances out for a day.
bool AppMetrics::make_room() {
  const TimePoint now = clock_.steady();
  auto oldest = instances_.end();
  bool oldest_left = false;
  for (auto it = instances_.begin(); it != instances_.end(); ++it) {
    const Instance& one = it->second;
    const bool left = one.info.departed || one.anonymous;
    const bool once = one.seen - one.born <= limits_.silence && now - one.seen >= limits_.forget_departed;
    if ((!left && !once) || one.streams > 0) continue;
    const bool better = oldest == instances_.end() || (left && !oldest_left) ||
                        (left == oldest_left && one.seen < oldest->second.seen);
    if (!better) continue;
    oldest = it;
    oldest_left = left;
  }
  if (oldest == instances_.end()) return false;
  instances_.erase(oldest);
  return true;
}

void AppMetrics::forget_old() {
  const TimePoint now = clock_.steady();
  if (now - forgot_ < kForgetEvery) return;
  forgot_ = now;
  std::erase_if(instances_, [&](const auto& entry) {
    const Instance& instance = entry.second;
    if (instance.streams > 0) return false;
    if (instance.anonymous) return now - instance.seen >= limits_.forget_anonymous;
    return now - instance.seen >= (instance.info.departed ? limits_.forget_departed : limits_.forget_silent);
  });
  for (auto& [flag, window] : windows_) {
    std::erase_if(window.breakers,
                  [&](const auto& entry) { return !instances_.contains(entry.first.first); });
  }
}

bool AppMetrics::is_connected(const Instance& instance) const {
  if (instance.info.departed) return false;
  return instance.streams > 0 ||
         clock_.steady() - instance.seen <= std::max(limits_.silence, instance.silence);
}

void AppMetrics::stream_opened(std::string_view service, std::string_view instance, std::string_view build) {
  if (instance.empty()) return;  // a dashboard or a person with curl is no instance of an application
  const std::lock_guard guard(mutex_);
  forget_old();  // a fleet may send nothing else
  Instance* found = instance_of(service, instance);
  if (found == nullptr) return;
  ++found->streams;
  found->member = true;
  found->seen = clock_.steady();
  found->info.last_seen = clock_.now();
  found->info.departed = false;
  if (!build.empty()) found->info.build = build;
}

void AppMetrics::stream_closed(std::string_view service, std::string_view instance) {
  const std::lock_guard guard(mutex_);
  const auto found = instances_.find({std::string(service), std::string(instance)});
  if (found == instances_.end() || found->second.streams == 0) return;
  --found->second.streams;
  if (found->second.anonymous)
    found->second.seen = clock_.steady();  // when it may be forgotten counts from here
}

void AppMetrics::departed(std::string_view service, std::string_view instance) {
  const std::lock_guard guard(mutex_);
  const InstanceKey key{std::string(service), std::string(instance)};
  const auto found = instances_.find(key);
  if (found == instances_.end()) return;
  found->second.info.departed = true;
  found->second.seen = clock_.steady();
  for (auto& [flag, window] : windows_) {
    std::erase_if(window.breakers, [&](const auto& entry) { return entry.first.first == key; });
  }
}

void AppMetrics::acknowledge(std::string_view service, std::string_view instance, flag::Revision applied) {
  const std::lock_guard guard(mutex_);
  const auto found = instances_.find({std::string(service), std::string(instance)});
  if (found == instances_.end()) return;
  found->second.info.applied = std::max(found->second.info.applied, applied);
  found->second.info.acknowledges = true;
  note_applied(found->second, applied, clock_.steady());
  found->second.info.last_seen = clock_.now();
  found->second.seen = clock_.steady();
}

void AppMetrics::add_totals(const Report& report) {
  for (const PathReport& path : report.paths) {
    const auto key = std::make_tuple(path.flag, path.path, static_cast<int>(index_of(path.side)));
    if (totals_.size() >= limits_.totals_max && !totals_.contains(key)) {
      ++dropped_;
      continue;
    }
    PathTotal& total = totals_[key];
    total.flag = path.flag;
    total.path = path.path;
    total.side = path.side;
    add(total.counts, path.counts);
    total.fallbacks += path.fallbacks;
    total.user_errors += path.user_errors;
    total.latency.merge(path.latency);
  }
  add_evaluation_totals(report.evaluations);
  if (usage_) usage_->add(report.evaluations, clock_.now());
}

bool AppMetrics::counts_in(Window& window, const InstanceKey& key, const Instance& instance) {
  return instance.number >= window.known_before || !window.straddled.insert(key).second;
}

void AppMetrics::add_to_windows(const Report& report, const InstanceKey& key, const Instance& instance) {
  const std::int64_t second = clock_.steady().ms / 1'000;
  for (auto& [flag, window] : windows_) {
    if (!counts_in(window, key, instance)) continue;
    bool touched = false;
    for (const PathReport& path : report.paths) {
      if (path.flag != flag) continue;
      add_path(window, path, second);
      touched = true;
    }
    for (const flag::ShadowReport& shadow : report.shadow) {
      if (shadow.flag != flag) continue;
      window.shadow_compared += shadow.compared;
      window.shadow_mismatches += shadow.mismatches;
      touched = true;
    }
    add_evaluations(window, flag, report.evaluations, true);
    if (touched) window.newest = clock_.now();
  }
}

void AppMetrics::add_path(Window& window, const PathReport& path, std::int64_t second) {
  const auto key = std::make_pair(path.path, path.context);
  if (window.series.size() >= limits_.series_max && !window.series.contains(key)) {
    ++dropped_;
    return;
  }
  Series& series = window.series[key];
  series.write = series.write || path.write;
  SideSeries& side = series.sides[index_of(path.side)];
  add(side.counts, path.counts);
  side.fallbacks += path.fallbacks;
  side.user_errors += path.user_errors;
  side.latency.merge(path.latency);
  add_second(side, path, second, limits_.blocks_max);
}

void AppMetrics::add_second(SideSeries& series, const PathReport& path, std::int64_t second,
                            std::size_t blocks_max) {
  if (series.seconds.empty() || series.seconds.back().second != second) {
    series.seconds.push_back({.second = second});
    if (series.seconds.size() > blocks_max) series.seconds.pop_front();
  }
  Second& block = series.seconds.back();
  block.attempts += path.counts.attempts;
  block.errors += path.counts.errors();
  block.timeouts += path.counts.timeouts;
  block.connection += path.counts.connection;
  block.fallbacks += path.fallbacks;
  block.user_errors += path.user_errors;
  auto old = std::move(block.latency);
  block.latency.clear();
  auto at = old.begin();
  for (const auto& [bucket, count] : path.latency.buckets()) {
    while (at != old.end() && at->first < bucket) block.latency.push_back(*at++);
    const auto before = at != old.end() && at->first == bucket ? (at++)->second : 0U;
    block.latency.emplace_back(bucket, before + static_cast<std::uint32_t>(count));
  }
  block.latency.insert(block.latency.end(), at, old.end());
}

// Whoever registers may be a new process: whether a breaker is open is known from its next report.
void AppMetrics::close_breakers(const InstanceKey& key) {
  for (auto& [flag, window] : windows_) {
    auto at = window.breakers.lower_bound({key, std::string()});
    for (; at != window.breakers.end() && at->first.first == key; ++at) at->second.open = false;
  }
}

// A report lists every breaker that its instance has: what it does not list went with an earlier process.
void AppMetrics::drop_unlisted_breakers(const Report& report, const InstanceKey& key) {
  for (auto& [flag, window] : windows_) {
    auto at = window.breakers.lower_bound({key, std::string()});
    while (at != window.breakers.end() && at->first.first == key) {
      const bool listed = std::any_of(
          report.breakers.begin(), report.breakers.end(),
          [&](const flag::BreakerReport& one) { return one.flag == flag && one.path == at->first.second; });
      at = listed ? std::next(at) : window.breakers.erase(at);
    }
  }
}

bool AppMetrics::is_present(const InstanceKey& key) const {
  const auto found = instances_.find(key);
  return found != instances_.end() && is_connected(found->second);
}

void AppMetrics::add_breakers(const Report& report, const InstanceKey& key, const Instance& instance) {
  for (const flag::BreakerReport& breaker : report.breakers) {
    const auto found = windows_.find(breaker.flag);
    if (found == windows_.end()) continue;
    Window& window = found->second;
    const auto name = std::make_pair(key, breaker.path);
    const bool known = window.breakers.contains(name);
    if (!known && window.breakers.size() >= limits_.breakers_max) {
      ++dropped_;
      continue;
    }
    Breaker& state = window.breakers[name];
    // Trips that an instance brings along from before the mark are not this window's.
    if (!known && instance.number < window.known_before) state.trips_before = breaker.trips;
    if (breaker.trips < state.trips) state.trips_before = 0;  // a new life counts from zero
    // The first report behind a mark tells of both sides of it: a trip of the try that was taken back would
    // end the next one as it begins. What tripped behind the mark is open still.
    const bool straddles = instance.number < window.known_before && !window.straddled.contains(key);
    if (straddles) state.trips_before = breaker.trips;
    state.open = breaker.open;
    state.cause = breaker.cause;
    state.trips = breaker.trips;
  }
}

void AppMetrics::begin(Window& window, std::uint64_t mark) {
  auto breakers = std::move(window.breakers);
  window = Window{};
  window.mark = mark;
  window.since = clock_.now();
  window.known_before = next_number_;
  window.breakers = std::move(breakers);
  // The last word of a process that crashed must not roll back the exposures after it.
  std::erase_if(window.breakers, [&](const auto& entry) { return !is_present(entry.first.first); });
  for (auto& [name, breaker] : window.breakers) breaker.trips_before = breaker.trips;
}

Result<rollout::AppWindow> AppMetrics::window(std::string_view flag, std::uint64_t mark,
                                              const std::vector<std::string>& excluded) {
  const std::lock_guard guard(mutex_);
  if (log_) log_->keep(excluded);
  forget_old();
  take_evaluations_locked();  // what came before a new mark is not counted after it
  auto found = windows_.find(flag);
  const bool made = found == windows_.end();
  if (made) {
    if (windows_.size() >= limits_.flags_max) {
      windows_.erase(std::min_element(windows_.begin(), windows_.end(), [](const auto& a, const auto& b) {
        return a.second.asked < b.second.asked;
      }));
    }
    found = windows_.try_emplace(std::string(flag)).first;
  }
  Window& window = found->second;
  if (made || window.mark != mark) begin(window, mark);
  window.asked = clock_.steady();
  rollout::AppWindow out;
  out.mark = window.mark;
  out.since = window.since;
  out.newest = window.newest;
  out.shadow_compared = window.shadow_compared;
  out.shadow_mismatches = window.shadow_mismatches;
  // Over marks and restarts: a job of the night has not attested its build because a new mark began.
  out.unattested_at =
      usage_ ? std::max(window.unattested_at, usage_->unattested(flag)) : window.unattested_at;
  fill_paths(out, window, excluded);
  fill_breakers(out, window);
  out.instances = instances_locked();
  return out;
}

void AppMetrics::fill_paths(rollout::AppWindow& out, const Window& window,
                            const std::vector<std::string>& excluded) const {
  using Blocks = std::map<std::int64_t, rollout::Block>;
  std::map<std::string, std::pair<rollout::PathStats, std::array<Blocks, 2>>> paths;
  std::map<std::string, rollout::ContextStats> contexts;
  for (const auto& [key, series] : window.series) {
    const auto& [path, context] = key;
    rollout::ContextStats& of_context = contexts[context];
    of_context.context = context;
    of_context.legacy += series.sides[0].counts.attempts;
    of_context.fresh += series.sides[1].counts.attempts;
    if (std::find(excluded.begin(), excluded.end(), context) != excluded.end()) continue;
    auto& [stats, blocks] = paths[path];
    stats.path = path;
    stats.write = stats.write || series.write;
    for (const std::size_t i : {0U, 1U}) {
      const SideSeries& from = series.sides[i];
      rollout::SideStats& to = i == 0 ? stats.legacy : stats.fresh;
      add(to.counts, from.counts);
      to.fallbacks += from.fallbacks;
      to.user_errors += from.user_errors;
      to.latency.merge(from.latency);
      for (const Second& second : from.seconds) {
        rollout::Block& block = blocks[i][second.second];
        block.attempts += second.attempts;
        block.errors += second.errors;
        block.timeouts += second.timeouts;
        block.connection += second.connection;
        block.fallbacks += second.fallbacks;
        block.user_errors += second.user_errors;
        for (const auto& [bucket, count] : second.latency) block.latency.add_bucket(bucket, count);
      }
    }
  }
  for (const auto& [context, counts] : window.evaluated) {
    rollout::ContextStats& of_context = contexts[context];
    of_context.context = context;
    of_context.evaluated_legacy = counts.first;
    of_context.evaluated_fresh = counts.second;
  }
  for (auto& [name, entry] : paths) {
    for (const std::size_t i : {0U, 1U}) {
      Blocks& blocks = entry.second[i];
      while (blocks.size() > limits_.blocks_max) blocks.erase(blocks.begin());
      auto& to = (i == 0 ? entry.first.legacy : entry.first.fresh).blocks;
      for (auto& [second, block] : blocks) to.push_back(std::move(block));
    }
    out.paths.push_back(std::move(entry.first));
  }
  for (auto& [name, context] : contexts) out.contexts.push_back(std::move(context));
}

void AppMetrics::fill_breakers(rollout::AppWindow& out, const Window& window) const {
  for (const auto& [name, breaker] : window.breakers) {
    const std::uint64_t trips = breaker.trips - std::min(breaker.trips, breaker.trips_before);
    if ((!breaker.open && trips == 0) || !is_present(name.first)) continue;
    out.breakers.push_back({name.second, name.first.second, breaker.cause, breaker.open, trips});
  }
}

std::vector<rollout::InstanceInfo> AppMetrics::instances_locked() const {
  std::vector<rollout::InstanceInfo> all;
  all.reserve(instances_.size());
  for (const auto& [key, instance] : instances_) {
    if (!instance.member) continue;
    all.push_back(instance.info);
    all.back().connected = is_connected(instance);
  }
  return all;
}

std::vector<rollout::InstanceInfo> AppMetrics::instances() const {
  const std::lock_guard guard(mutex_);
  return instances_locked();
}

std::string AppMetrics::service_of(std::string_view instance) const {
  const std::lock_guard guard(mutex_);
  const std::string* found = nullptr;
  for (const auto& [key, one] : instances_) {
    if (key.second != instance) continue;
    if (found != nullptr) return {};
    found = &key.first;
  }
  return found == nullptr ? std::string() : *found;
}

std::vector<PathTotal> AppMetrics::path_totals() const {
  const std::lock_guard guard(mutex_);
  std::vector<PathTotal> all;
  for (const auto& [key, total] : totals_) all.push_back(total);
  return all;
}

std::vector<EvaluationTotal> AppMetrics::evaluation_totals() const {
  const std::lock_guard guard(mutex_);
  std::vector<EvaluationTotal> all;
  for (const auto& [key, total] : evaluations_) all.push_back(total);
  return all;
}

std::uint64_t AppMetrics::reports() const {
  const std::lock_guard guard(mutex_);
  return reports_;
}

std::uint64_t AppMetrics::dropped() const {
  const std::lock_guard guard(mutex_);
  return dropped_;
}

}  // namespace poundlock::telemetry
