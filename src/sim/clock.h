// Simulated time. It stands still but when somebody waits: sleep() advances it, and the world (the
// applications' statements) goes on meanwhile. One thread, so the interface's promise holds.
#pragma once

#include <functional>

#include "base/time.h"

namespace poundlock::sim {

class WorldClock {
 public:
  TimePoint steady() const { return steady_; }
  TimePoint wall() const { return steady_ + offset_; }
  void advance(Millis by) {
    if (by.count() <= 0) return;
    steady_ = steady_ + by;
    if (passed) passed(by);
  }
  void jump(Millis by) { offset_ += by; }  // somebody sets the wall clock

  std::function<void(Millis)> passed;

 private:
  TimePoint steady_{1'000};
  Millis offset_{1'700'000'000'000};
};

// The clock of one process. A process that was killed sleeps no more.
class ProcessClock final : public Clock {
 public:
  ProcessClock(WorldClock& world, const bool& dead) : world_(world), dead_(dead) {}
  TimePoint now() const override { return world_.wall(); }
  TimePoint steady() const override { return dead_ ? world_.steady() + spent_ : world_.steady(); }
  void sleep(Millis duration) override {
    // What is left of a killed process unwinds; loops bounded by time must end although time stands still.
    if (dead_) {
      spent_ += duration;
      return;
    }
    if (slept) slept();
    world_.advance(duration);
  }

  std::function<void()> slept;

 private:
  WorldClock& world_;
  const bool& dead_;
  Millis spent_{0};
};

}  // namespace poundlock::sim
