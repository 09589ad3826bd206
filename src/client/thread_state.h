// What each thread keeps for itself: its copy of the view, and counters of its evaluations. The owner
// evaluates without a lock; it locks only to take over a newer view or to count something it has not
// counted before. The reporting thread collects under the same lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "client/recorder.h"
#include "client/view.h"

namespace poundlock::client {

class ThreadState {
 public:
  // Owner only.
  const View* view(std::uint64_t version) const { return version == version_ ? view_.get() : nullptr; }
  void adopt(std::shared_ptr<const View> view, std::uint64_t version, Recorder& recorder);
  void count(std::string_view key, const Evaluated& result, std::string_view context, Recorder& recorder);

  // Any thread: moves what was counted into the recorder.
  void collect(Recorder& recorder);

 private:
  struct Slot {
    bool used = false;
    bool overridden = false;
    const flag::CompiledFlag* flag = nullptr;
    const char* name = nullptr;  // the variant's name by its address: views do not move names
    flag::Reason reason = flag::Reason::kError;
    int rule = -1;
    std::string context;
    // One writer: an increment needs no locked instruction. Never reset while used, so that no count
    // is lost between two readers.
    std::atomic<std::uint64_t> count{0};
    std::uint64_t reported = 0;
    std::string variant;
  };
  void flush(Recorder& recorder);  // mutex_ held

  std::mutex mutex_;
  std::shared_ptr<const View> view_;
  std::uint64_t version_ = 0;
  std::array<Slot, 64> slots_;
};

}  // namespace poundlock::client
