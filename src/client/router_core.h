// What the units of one router share: the flag's key, the breakers of its paths, the shadow worker.
// Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "client/breaker.h"
#include "client/core.h"
#include "client/shadow_worker.h"
#include "flag/rollout_flag.h"
#include "poundlock/router.h"

namespace poundlock::client {

class RouterCore {
 public:
  static constexpr std::size_t kPathsMax = 500;

  RouterCore(std::shared_ptr<Core> core, std::string key, RouterOptions options);

  struct Choice {
    flag::Stage stage = flag::Stage::kOff;
    Side side = Side::kLegacy;
  };
  Choice choose(const Context& context);
  std::string label(const Context& context);  // for reports

  Breaker::Answer ask_breaker(std::string_view path);
  void observe(std::string_view path, Side side, bool write, bool probe, Attempt::Clock::duration latency,
               const Failure* failure, const std::string& label, bool breaks);
  void count_fallback(std::string_view path, const std::string& label);
  void count_user_error(std::string_view path, Side side, bool write, const std::string& label);
  void post_shadow(std::string_view path, ShadowTask task);
  void skip_shadow(std::string_view path);

  const RouterOptions& options() const { return options_; }
  void breakers(std::vector<flag::BreakerReport>& reports);

 private:
  Breaker& breaker(std::string_view path);  // mutex_ held
  // mutex_ held. A new revision is a new order from those who steer: a breaker that stayed open over a
  // rollback would roll the next try back at once, and with so little traffic nothing would ever close it.
  void reset_after_change();
  Recorder::PathKey key(std::string_view path, Side side, bool write, const std::string& label) const;

  std::shared_ptr<Core> core_;
  const std::string key_;
  const std::string stage_key_;
  const RouterOptions options_;
  std::mutex mutex_;
  std::map<std::string, Breaker, std::less<>> breakers_;
  flag::Revision revision_;  // when the breakers began
  Attempt::Clock::time_point changed_at_{};
  ShadowWorker shadow_;
};

}  // namespace poundlock::client
