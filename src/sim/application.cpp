#include "sim/application.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "base/json.h"
#include "flag/rollout_flag.h"

namespace poundlock::sim {
namespace {

constexpr Millis kOperationEvery{200};
constexpr int kOperationsMax = 40;  // in one stretch of time: a long wait does not need more
constexpr int kUsers = 32;
constexpr std::size_t kRowsMax = 80;
constexpr std::uint64_t kWeight = 100;  // each simulated operation stands for so many
constexpr std::string_view kExcluded = "batch";

std::string_view context_of(int user) {
  return user < 8 ? "internal" : user < 11 ? kExcluded : "";
}

}  // namespace

Result<flag::Revision> Flags::publish(std::string_view flags_json) {
  if (flags_json == current_) return revision_;
  current_ = flags_json;
  revision_.number += 1;
  if (stuck) return revision_;
  PL_TRY(const auto parsed, json::parse(flags_json, "flags"));
  const boost::json::object part = parsed.as_object();
  PL_TRY(const std::string document, flag::snapshot_document(std::span(&part, 1), revision_));
  PL_TRY(snapshot_, flag::Snapshot::compile(document, "flags"));
  return revision_;
}

Application::Application(WorldClock& clock, Server& server, Flags& flags, const rollout::Plan& plan,
                         Random random, std::function<void(const std::string&, const std::string&)> broken)
    : clock_(clock),
      server_(server),
      flags_(flags),
      plan_(plan),
      random_(random),
      broken_(std::move(broken)) {
  for (const SimRow& row : server.rows) journal_[row.id] = row.legacy.value_or("");
  next_row_ = static_cast<int>(server.rows.size());
  for (; next_instance_ < 3; ++next_instance_)
    instances_.push_back({fmt::format("app-{}", next_instance_), "old", true, true, {}, nullptr, {}, {}});
}

// --- flags -----------------------------------------------------------------------------------------

void Application::deliver() {
  for (Instance& one : instances_) {
    if (one.applied == flags_.revision()) continue;
    const TimePoint now = clock_.steady();
    if (now < one.silent_until) continue;
    if (one.due.ms == 0) one.due = now + Millis{random_.between(5, 900)};
    if (now < one.due) continue;
    one.applied = flags_.revision();
    one.snapshot = flags_.snapshot();
    one.due = {};
  }
}

bool Application::on_new(const flag::Snapshot* snapshot, int user) const {
  if (!snapshot || !plan_.flag) return false;
  boost::json::object context{{"targetingKey", fmt::format("user-{}", user)}};
  if (const auto name = context_of(user); !name.empty()) context["context"] = name;
  const auto answer = snapshot->evaluate(plan_.flag->key, flag::JsonAttributes(context), 0);
  return answer.variant && answer.variant->value.is_bool() && answer.variant->value.as_bool();
}

double Application::share_on_new() const {
  int fresh = 0;
  int all = 0;
  for (const Instance& one : instances_) {
    for (int user = 0; user < kUsers; ++user, ++all) fresh += on_new(one.snapshot.get(), user) ? 1 : 0;
  }
  return all == 0 ? 0 : static_cast<double>(fresh) / all;
}

bool Application::exclusion_leaks() const {
  for (int user = 0; user < kUsers; ++user)
    if (context_of(user) == kExcluded && on_new(flags_.snapshot().get(), user)) return true;
  return false;
}

bool Application::everybody_applied() const {
  return std::all_of(instances_.begin(), instances_.end(),
                     [&](const Instance& one) { return one.applied == flags_.revision(); });
}

// --- instances -------------------------------------------------------------------------------------

void Application::metrics_began_anew() {
  mark_ = 0;
  for (Instance& one : instances_) one.reported = false;
}

void Application::deploy(bool legacy_path) {
  const auto other = std::find_if(instances_.begin(), instances_.end(),
                                  [&](const Instance& one) { return one.legacy_path != legacy_path; });
  if (other == instances_.end()) return;
  *other = {fmt::format("app-{}", next_instance_++),
            legacy_path ? "old" : "new",
            legacy_path,
            true,
            {},
            nullptr,
            {},
            {}};
}

void Application::silence(Millis by) {
  instances_[static_cast<std::size_t>(random_.below(static_cast<int>(instances_.size())))].silent_until =
      clock_.steady() + by;
}

void Application::restart_one() {
  auto& one = instances_[static_cast<std::size_t>(random_.below(static_cast<int>(instances_.size())))];
  one = {fmt::format("app-{}", next_instance_++), one.build, one.legacy_path, true, {}, nullptr, {}, {}};
}

// --- work ------------------------------------------------------------------------------------------

void Application::passed(Millis by) {
  deliver();
  owed_ms_ = std::min<std::int64_t>(owed_ms_ + by.count(), kOperationsMax * kOperationEvery.count());
  while (owed_ms_ >= kOperationEvery.count()) {
    owed_ms_ -= kOperationEvery.count();
    Instance& one = instances_[static_cast<std::size_t>(random_.below(static_cast<int>(instances_.size())))];
    if (!one.reported) one.reported = random_.one_in(3);
    work(one);
  }
}

void Application::work(Instance& instance) {
  const int user = random_.below(kUsers);
  // One evaluation for each unit of work; a build without the legacy path asks nobody.
  const bool fresh = !instance.legacy_path || on_new(instance.snapshot.get(), user);
  if (random_.one_in(2))
    read(user, fresh);
  else
    write(user, fresh);
}

void Application::read(int user, bool fresh) {
  const bool faulty = fresh && fault.failing && clock_.steady() < fault.until;
  count(user, false, fresh, faulty ? kWeight / 4 : 0, faulty ? kWeight / 4 : 0);
  std::vector<int> mine;
  for (const auto& [id, value] : journal_)
    if (id % kUsers == user) mine.push_back(id);
  if (mine.empty()) return;
  const int id = mine[static_cast<std::size_t>(random_.below(static_cast<int>(mine.size())))];
  ++(fresh ? server_.fresh_reads : server_.legacy_reads);
  const auto value = server_.read(id, fresh);
  if (!value)
    broken_("readers_can_read",
            fmt::format("a read of row {} on {}: {}", id, fresh ? "new" : "legacy", value.error().message));
  else if (*value != journal_[id])
    broken_("writes_survive", fmt::format("row {} reads {} on {} and {} was acknowledged", id, *value,
                                          fresh ? "new" : "legacy", journal_[id]));
}

void Application::write(int user, bool fresh) {
  const bool faulty = fresh && fault.failing && clock_.steady() < fault.until;
  count(user, true, fresh, faulty ? kWeight / 4 : 0, 0);
  const std::string value = fmt::format("w{}", random_.below(1000));
  int id = user;
  const bool inserts = journal_.size() < kRowsMax && random_.one_in(6);
  if (inserts) {
    id = next_row_ + (user - next_row_ % kUsers + kUsers) % kUsers;
    next_row_ = id + 1;
  } else {
    while (random_.one_in(2) && journal_.contains(id + kUsers)) id += kUsers;
    if (!journal_.contains(id)) return;
  }
  const auto done = inserts ? server_.insert(id, fresh, value) : server_.write(id, fresh, value);
  if (!done)
    broken_("readers_can_read",
            fmt::format("a write of row {} on {}: {}", id, fresh ? "new" : "legacy", done.error().message));
  else if (*done)
    journal_[id] = value;
}

void Application::count(int user, bool is_write, bool fresh, std::uint64_t errors, std::uint64_t fallbacks) {
  SideTotals& side = totals_[{is_write, fresh}];
  auto& context = contexts_[std::string(context_of(user))];
  (fresh ? context.second : context.first) += kWeight;
  if (context_of(user) == kExcluded && plan_.flag) {
    // Left out of the paths while it is excluded; its attempts are counted by context only.
    if (flags_.current().find(kExcluded) != std::string::npos) return;
  }
  const bool slow = fresh && fault.slow && clock_.steady() < fault.until;
  side.attempts += kWeight;
  side.errors += errors;
  side.fallbacks += fallbacks;
  if (is_write) side.user_errors += errors;
  if (errors > 0) trips_ += random_.one_in(4) ? 1 : 0;
  for (std::uint64_t i = 0; i < 20; ++i) side.latency.add((slow ? 9'000 : 3'000) + 150 * i, kWeight / 20);
}

rollout::AppWindow Application::window(std::uint64_t mark) {
  if (mark != mark_) {
    mark_ = mark;
    since_ = clock_.wall();
    totals_.clear();
    contexts_.clear();
    trips_ = 0;
  }
  rollout::AppWindow out;
  out.mark = mark;
  out.since = since_;
  out.newest = clock_.wall();
  for (const bool is_write : {false, true}) {
    rollout::PathStats path;
    path.path = is_write ? "set_status" : "by_status";
    path.write = is_write;
    for (const bool fresh : {false, true}) {
      const SideTotals& side = totals_[{is_write, fresh}];
      auto& to = fresh ? path.fresh : path.legacy;
      to.counts.attempts = side.attempts;
      to.counts.other = side.errors;
      to.fallbacks = side.fallbacks;
      to.user_errors = side.user_errors;
      to.latency = side.latency;
    }
    out.paths.push_back(std::move(path));
  }
  for (const auto& [name, sides] : contexts_) out.contexts.push_back({name, sides.first, sides.second});
  for (const Instance& one : instances_) {
    if (!one.reported) continue;
    rollout::InstanceInfo info;
    info.service = "orders";
    info.instance = one.name;
    info.build = one.build;
    info.legacy_path = one.legacy_path;
    info.connected = clock_.steady() >= one.silent_until;
    info.applied = one.applied;
    info.last_seen = clock_.wall();
    out.instances.push_back(std::move(info));
  }
  if (trips_ > 0)
    out.breakers.push_back({"by_status", "app-0", "error burst", clock_.steady() < fault.until, trips_});
  return out;
}

}  // namespace poundlock::sim
