#include "client/thread_state.h"

#include "base/names.h"

namespace poundlock::client {

namespace {
constexpr const char* kOverride = "OVERRIDE";
constexpr std::size_t kProbes = 4;

const char* reason_text(bool overridden, flag::Reason reason) {
  return overridden ? kOverride : flag::to_string(reason);
}
}  // namespace

void ThreadState::adopt(std::shared_ptr<const View> view, std::uint64_t version, Recorder& recorder) {
  std::shared_ptr<const View> old;  // freed after the lock: a snapshot may be large
  std::lock_guard lock(mutex_);
  flush(recorder);
  for (Slot& slot : slots_) slot.used = false;  // they refer into the old view
  old = std::move(view_);
  view_ = std::move(view);
  version_ = version;
}

void ThreadState::count(std::string_view key, const Evaluated& result, std::string_view context,
                        Recorder& recorder) {
  if (result.flag == nullptr) {  // unknown flags are no hot path
    recorder.evaluations({clean_name(key, "unnamed"), clean_name(result.name),
                          reason_text(result.overridden, result.reason), clean_name(context)},
                         1);
    return;
  }
  std::size_t at = (reinterpret_cast<std::uintptr_t>(result.flag) >> 4) * 31 +
                   (reinterpret_cast<std::uintptr_t>(result.name.data()) >> 3) + context.size() +
                   static_cast<std::size_t>(result.rule);
  for (std::size_t probe = 0; probe < kProbes; ++probe, ++at) {
    Slot& slot = slots_[at % slots_.size()];
    if (slot.used) {
      if (slot.flag != result.flag || slot.name != result.name.data() || slot.reason != result.reason ||
          slot.rule != result.rule || slot.overridden != result.overridden || slot.context != context) {
        continue;
      }
      slot.count.store(slot.count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return;
    }
    std::lock_guard lock(mutex_);
    slot.overridden = result.overridden;
    slot.flag = result.flag;
    slot.name = result.name.data();
    slot.reason = result.reason;
    slot.rule = result.rule;
    slot.context = context;
    slot.variant = result.name;
    slot.reported = 0;
    slot.count.store(1, std::memory_order_relaxed);
    slot.used = true;
    return;
  }
  recorder.evaluations({clean_name(key), clean_name(result.name),
                        reason_text(result.overridden, result.reason), clean_name(context), result.rule},
                       1);
}

void ThreadState::flush(Recorder& recorder) {
  for (Slot& slot : slots_) {
    if (!slot.used) continue;
    const std::uint64_t total = slot.count.load(std::memory_order_relaxed);
    if (total == slot.reported) continue;
    recorder.evaluations({clean_name(slot.flag->key), clean_name(slot.variant),
                          reason_text(slot.overridden, slot.reason), clean_name(slot.context), slot.rule},
                         total - slot.reported);
    slot.reported = total;
  }
}

void ThreadState::collect(Recorder& recorder) {
  std::lock_guard lock(mutex_);
  flush(recorder);
}

}  // namespace poundlock::client
