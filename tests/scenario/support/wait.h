// Waiting for a condition in a test: looks again and again, never longer than the limit. The one place
// where tests let time pass.
#pragma once

#include <chrono>
#include <thread>

namespace poundlock::scenario {

// False: the limit passed first.
template <typename Condition>
bool wait_until(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(30),
                std::chrono::milliseconds every = std::chrono::milliseconds(5)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(every);
  }
  return true;
}

}  // namespace poundlock::scenario
