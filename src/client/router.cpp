#include "poundlock/router.h"

#include <algorithm>

#include "base/names.h"
#include "client/details_of.h"
#include "client/router_core.h"

namespace poundlock {

namespace client {

RouterCore::RouterCore(std::shared_ptr<Core> core, std::string key, RouterOptions options)
    : core_(std::move(core)),
      key_(clean_name(key, "unnamed")),
      stage_key_(key + std::string(flag::kStageSuffix)),
      options_(options),
      shadow_(std::shared_ptr<Recorder>(core_, &core_->recorder()), options.shadow_limit) {}

RouterCore::Choice RouterCore::choose(const Context& context) {
  Choice choice;
  // Anything that is no stage, be it a missing key or a broken rule, is the legacy side.
  const auto take = [&choice](std::string_view name) {
    if (auto stage = flag::stage_from(name)) choice.stage = *stage;
  };
  if (core_->has_hooks()) {
    take(details_of<std::string>(*core_, FlagType::kString, as_string, stage_key_, "off", context).variant);
  } else {
    take(core_->evaluate(stage_key_, context).name);
  }
  choice.side = flag::is_new(choice.stage) || !options_.legacy_path ? Side::kNew : Side::kLegacy;
  return choice;
}

std::string RouterCore::label(const Context& context) {
  return clean_name(core_->label(context));
}

Breaker& RouterCore::breaker(std::string_view path) {
  auto found = breakers_.find(path);
  if (found != breakers_.end()) return found->second;
  const std::string name = breakers_.size() < kPathsMax ? clean_name(path, "unnamed") : "other";
  return breakers_.try_emplace(name, options_.breaker).first->second;
}

void RouterCore::reset_after_change() {
  const flag::Revision now = core_->applied();
  if (now == revision_) return;
  revision_ = now;
  changed_at_ = Attempt::Clock::now();
  for (auto& [path, breaker] : breakers_) breaker.reset();
}

Breaker::Answer RouterCore::ask_breaker(std::string_view path) {
  std::lock_guard lock(mutex_);
  reset_after_change();
  return breaker(path).ask(Attempt::Clock::now());
}

Recorder::PathKey RouterCore::key(std::string_view path, Side side, bool write,
                                  const std::string& label) const {
  return {key_, clean_name(path, "unnamed"), side, write, label};
}

void RouterCore::observe(std::string_view path, Side side, bool write, bool probe,
                         Attempt::Clock::duration latency, const Failure* failure, const std::string& label,
                         bool breaks) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(latency).count();
  core_->recorder().attempt(key(path, side, write, label),
                            static_cast<std::uint64_t>(std::max<std::int64_t>(microseconds, 0)), failure);
  if (!breaks || side != Side::kNew) return;
  std::lock_guard lock(mutex_);
  reset_after_change();
  // What began under the flags before says nothing of the order that holds now.
  const auto now = Attempt::Clock::now();
  if (now - latency < changed_at_) return;
  breaker(path).record(failure, probe, now);
}

void RouterCore::count_fallback(std::string_view path, const std::string& label) {
  core_->recorder().fallback(key(path, Side::kNew, false, label));
}

void RouterCore::count_user_error(std::string_view path, Side side, bool write, const std::string& label) {
  core_->recorder().user_error(key(path, side, write, label));
}

void RouterCore::post_shadow(std::string_view path, ShadowTask task) {
  shadow_.post(key_, clean_name(path, "unnamed"), std::move(task));
}

void RouterCore::skip_shadow(std::string_view path) {
  core_->recorder().shadow(key_, clean_name(path, "unnamed"), Recorder::Shadow::kSkipped);
}

void RouterCore::breakers(std::vector<flag::BreakerReport>& reports) {
  std::lock_guard lock(mutex_);
  reset_after_change();
  for (const auto& [path, breaker] : breakers_) {
    reports.push_back({key_, path, breaker.open(), breaker.trips(), breaker.cause()});
  }
}

}  // namespace client

Router::Router(const Client& client, std::string key, RouterOptions options) noexcept
    : core_(std::make_shared<client::RouterCore>(client.core(), std::move(key), options)) {
  client.core()->add_breakers(core_,
                              [weak = std::weak_ptr(core_)](std::vector<flag::BreakerReport>& reports) {
                                const auto core = weak.lock();
                                if (core) core->breakers(reports);
                                return core != nullptr;
                              });
}

Unit::Unit() noexcept = default;
Unit::Unit(const Unit&) = default;
Unit::Unit(Unit&&) noexcept = default;
Unit& Unit::operator=(const Unit&) = default;
Unit& Unit::operator=(Unit&&) noexcept = default;
Unit::~Unit() = default;

Side Unit::side() const noexcept {
  return side_;
}

std::string_view Unit::stage() const noexcept {
  return stage_;
}

Unit Router::begin(const Context& context, UnitOptions options) const noexcept {
  Unit unit;
  const client::RouterCore::Choice choice = core_->choose(context);
  unit.core_ = core_;
  unit.label_ = core_->label(context);
  unit.stage_ = flag::to_string(choice.stage);
  unit.side_ = choice.side;
  unit.in_transaction_ = options.in_transaction;
  return unit;
}

client::ReadPlan Unit::plan_read(std::string_view path) noexcept {
  client::ReadPlan plan;
  plan.side = side_;
  if (side_ == Side::kLegacy) {
    plan.shadow = stage_ == flag::to_string(flag::Stage::kShadow);
    return plan;
  }
  // In complete, in a build without legacy code and inside a transaction there is no way back.
  const bool complete = stage_ == flag::to_string(flag::Stage::kComplete);
  if (complete || in_transaction_ || !core_->options().legacy_path) return plan;
  switch (core_->ask_breaker(path)) {
    case client::Breaker::Answer::kGo: break;
    case client::Breaker::Answer::kProbe: plan.probe = true; break;
    case client::Breaker::Answer::kStay: plan.side = Side::kLegacy; break;
  }
  plan.may_fall_back = plan.side == Side::kNew;
  return plan;
}

void Unit::observe(std::string_view path, Side side, bool write, bool probe, Attempt::Clock::duration latency,
                   const Failure* failure) noexcept {
  const bool complete = stage_ == flag::to_string(flag::Stage::kComplete);
  core_->observe(path, side, write, probe, latency, failure, label_,
                 core_->options().legacy_path && !complete);
}

void Unit::count_fallback(std::string_view path) noexcept {
  core_->count_fallback(path, label_);
}

void Unit::count_user_error(std::string_view path, Side side, bool write) noexcept {
  core_->count_user_error(path, side, write, label_);
}

void Unit::post_shadow(std::string_view path, client::ShadowTask task) noexcept {
  core_->post_shadow(path, std::move(task));
}

void Unit::skip_shadow(std::string_view path) noexcept {
  core_->skip_shadow(path);
}

}  // namespace poundlock
