// What one try of a path answers: a value, or why not. Nothing here throws.
#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace poundlock {

// The two sides of a change.
enum class Side { kLegacy, kNew };

// Sort failures as finely as the database client allows: breakers and the server's gates tell them apart.
enum class FailureKind {
  kTimeout,     // statement, lock or connection time-out
  kDeadlock,    // SQLSTATE 40P01
  kConnection,  // refused, reset, too many connections
  kOther,
};

struct Failure {
  FailureKind kind = FailureKind::kOther;
  std::string message;
};

template <typename T>
class [[nodiscard]] Outcome {
 public:
  using value_type = T;
  Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Outcome(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Each only where ok() says so.
  T& value() { return *std::get_if<0>(&state_); }
  const T& value() const { return *std::get_if<0>(&state_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Failure& failure() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Failure> state_;
};

// For writes that answer nothing but success.
struct Done {
  friend constexpr bool operator==(Done, Done) { return true; }
  friend constexpr bool operator!=(Done, Done) { return false; }
};

// One try of one side, handed to the callable that makes it. Used by that callable only.
class Attempt {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Attempt(Side side, Clock::time_point deadline = Clock::time_point::max())
      : side_(side), deadline_(deadline), started_(Clock::now()) {}

  Side side() const { return side_; }
  // When the answer stops being of use: the limit of a shadow read, otherwise never.
  Clock::time_point deadline() const { return deadline_; }
  // Time spent waiting for a pooled connection: it says nothing about the statement, so that it is taken
  // off the latency.
  void exclude_wait(Clock::duration wait) { excluded_ += wait; }

  Clock::duration elapsed() const { return Clock::now() - started_ - excluded_; }

 private:
  Side side_;
  Clock::time_point deadline_;
  Clock::time_point started_;
  Clock::duration excluded_{0};
};

namespace detail {

// User code may throw; nothing of ours lets that through.
template <typename Callable>
auto guarded(Callable& callable, Attempt& attempt) noexcept -> std::invoke_result_t<Callable&, Attempt&> {
  try {
    return callable(attempt);
  } catch (const std::exception& error) {
    return Failure{FailureKind::kOther, error.what()};
  } catch (...) {
    return Failure{FailureKind::kOther, "the callable threw something that is no std::exception"};
  }
}

}  // namespace detail
}  // namespace poundlock
