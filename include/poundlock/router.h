// Chooses between the legacy and the new side of a change, once for each unit of work, by the stage that
// `KEY.stage` gives the context:
//   off, dualwrite      reads and writes legacy (the database keeps the new side in step)
//   shadow              the same, and a copy of each read goes to new, off the caller's path, compared
//   live, rampdown      reads and writes new; a read outside a transaction that fails is answered by legacy
//   complete            new only: no fallback, no breaker; a missing key does not bring legacy back
// Writes never fall back: whether the first try took effect may be unknown. Errors and latency are counted
// for each attempt, before any fallback. A breaker for each path sends reads to legacy at once while new
// fails; it never widens exposure.
//
//   Router router(client, "schema_v2_migration");
//   auto unit = router.begin({.targeting_key = customer, .attributes = {{"context", "internal"}}});
//   auto rows = unit.read("by_status", [&](Attempt&) { return db.legacy_by_status(s); },
//                                      [&](Attempt&) { return db.new_by_status(s); });
//
// A Router may be used from any thread; a Unit by one thread at a time. Nothing throws: what a callable
// throws becomes Failure{kOther}.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "poundlock/client.h"
#include "poundlock/context.h"
#include "poundlock/export.h"
#include "poundlock/outcome.h"

namespace poundlock {

struct BreakerOptions {
  int timeouts_in_row = 3;  // time-outs or lost connections one after the other
  int deadlocks = 3;        // among the last `window` attempts
  int failures = 5;         // an error burst: at least so many, and more than half of the last `window`
  int window = 20;          // at most 64
  std::chrono::milliseconds retry_after{1'000};  // until the first probe; doubles at each failed one
  std::chrono::milliseconds retry_after_max{30'000};
  int probes = 3;  // successful probes in a row that close it again
};

struct RouterOptions {
  bool legacy_path = true;  // false: a build without legacy code; every unit is on the new side
  BreakerOptions breaker;
  std::chrono::milliseconds shadow_limit{1'000};  // a shadow read that takes longer is not counted
};

struct UnitOptions {
  bool in_transaction = false;  // no fallback: a transaction has to stay on one side
};

namespace client {

class RouterCore;

// How a read is to be made, settled before its first attempt.
struct ReadPlan {
  Side side = Side::kLegacy;
  bool may_fall_back = false;
  bool probe = false;   // this attempt decides whether an open breaker closes
  bool shadow = false;  // the new side is to be read besides
};
enum class ShadowVerdict { kEqual, kDifferent, kFailed };
using ShadowTask = std::function<ShadowVerdict(Attempt&)>;

}  // namespace client

class Unit {
 public:
  POUNDLOCK_API Unit(const Unit&);
  POUNDLOCK_API Unit(Unit&&) noexcept;
  POUNDLOCK_API Unit& operator=(const Unit&);
  POUNDLOCK_API Unit& operator=(Unit&&) noexcept;
  POUNDLOCK_API ~Unit();

  POUNDLOCK_API Side side() const noexcept;
  POUNDLOCK_API std::string_view stage() const noexcept;  // "off", "dualwrite", ..., "complete"

  // `legacy` and `fresh` take an Attempt& and answer the same Outcome<T>.
  template <typename Legacy, typename New>
  auto read(std::string_view path, Legacy&& legacy, New&& fresh) noexcept
      -> std::invoke_result_t<New&, Attempt&> {
    return settle(path, plan_read(path), legacy, fresh);
  }

  // As above; in stage shadow `shadow` is run later on a thread of the library, with what it captured by
  // value: it must not touch the caller's connection. T needs == and a copy; a shadow read in which one of
  // them throws is not counted.
  template <typename Legacy, typename New, typename Shadow>
  auto read(std::string_view path, Legacy&& legacy, New&& fresh, Shadow shadow) noexcept
      -> std::invoke_result_t<New&, Attempt&> {
    const client::ReadPlan plan = plan_read(path);
    auto outcome = settle(path, plan, legacy, fresh);
    if (!plan.shadow || !outcome.ok()) return outcome;
    // A copy of T and its comparison are the application's code, which may throw.
    try {
      post_shadow(path, [shadow = std::move(shadow), expected = outcome.value()](Attempt& attempt) mutable {
        auto found = detail::guarded(shadow, attempt);
        if (!found.ok()) return client::ShadowVerdict::kFailed;
        return found.value() == expected ? client::ShadowVerdict::kEqual : client::ShadowVerdict::kDifferent;
      });
    } catch (...) {
      skip_shadow(path);
    }
    return outcome;
  }

  template <typename Legacy, typename New>
  auto write(std::string_view path, Legacy&& legacy, New&& fresh) noexcept
      -> std::invoke_result_t<New&, Attempt&> {
    return side() == Side::kNew ? final_try(path, Side::kNew, true, false, fresh)
                                : final_try(path, Side::kLegacy, true, false, legacy);
  }

  // For a build that holds no legacy code (RouterOptions::legacy_path is false).
  template <typename New>
  auto read_new(std::string_view path, New&& fresh) noexcept {
    return final_try(path, Side::kNew, false, false, fresh);
  }
  template <typename New>
  auto write_new(std::string_view path, New&& fresh) noexcept {
    return final_try(path, Side::kNew, true, false, fresh);
  }

 private:
  friend class Router;
  Unit() noexcept;

  template <typename Legacy, typename New>
  auto settle(std::string_view path, const client::ReadPlan& plan, Legacy& legacy, New& fresh) noexcept
      -> std::invoke_result_t<New&, Attempt&> {
    if (plan.side == Side::kLegacy) return final_try(path, Side::kLegacy, false, false, legacy);
    if (!plan.may_fall_back) return final_try(path, Side::kNew, false, plan.probe, fresh);
    {
      auto outcome = try_once(path, Side::kNew, false, plan.probe, fresh);
      if (outcome.ok()) return outcome;
    }
    auto outcome = final_try(path, Side::kLegacy, false, false, legacy);
    if (outcome.ok()) count_fallback(path);
    return outcome;
  }

  // A try whose failure reaches the caller.
  template <typename Callable>
  auto final_try(std::string_view path, Side side, bool write, bool probe, Callable& callable) noexcept {
    auto outcome = try_once(path, side, write, probe, callable);
    if (!outcome.ok()) count_user_error(path, side, write);
    return outcome;
  }

  template <typename Callable>
  auto try_once(std::string_view path, Side side, bool write, bool probe, Callable& callable) noexcept {
    Attempt attempt(side);
    auto outcome = detail::guarded(callable, attempt);
    observe(path, side, write, probe, attempt.elapsed(), outcome.ok() ? nullptr : &outcome.failure());
    return outcome;
  }

  POUNDLOCK_API client::ReadPlan plan_read(std::string_view path) noexcept;
  POUNDLOCK_API void observe(std::string_view path, Side side, bool write, bool probe,
                             Attempt::Clock::duration latency, const Failure* failure) noexcept;
  POUNDLOCK_API void count_fallback(std::string_view path) noexcept;
  POUNDLOCK_API void count_user_error(std::string_view path, Side side, bool write) noexcept;
  POUNDLOCK_API void post_shadow(std::string_view path, client::ShadowTask task) noexcept;
  POUNDLOCK_API void skip_shadow(std::string_view path) noexcept;

  std::shared_ptr<client::RouterCore> core_;
  std::string label_;  // the context attribute, for reports
  std::string_view stage_ = "off";
  Side side_ = Side::kLegacy;
  bool in_transaction_ = false;
};

class Router {
 public:
  POUNDLOCK_API Router(const Client& client, std::string key, RouterOptions options = {}) noexcept;
  POUNDLOCK_API Unit begin(const Context& context, UnitOptions options = {}) const noexcept;

 private:
  std::shared_ptr<client::RouterCore> core_;
};

}  // namespace poundlock
