#include "client/breaker.h"

#include <algorithm>
#include <bit>

namespace poundlock::client {

namespace {
constexpr int kWindowMax = 64;  // bits of a word
}

Breaker::Breaker(const BreakerOptions& options) : options_(options), wait_(options.retry_after) {
  options_.window = std::clamp(options_.window, 1, kWindowMax);
  options_.probes = std::max(options_.probes, 1);
  options_.retry_after_max = std::max(options_.retry_after_max, options_.retry_after);
}

Breaker::Answer Breaker::ask(Time now) {
  if (!open_) return Answer::kGo;
  if (probing_ || now < retry_at_) return Answer::kStay;
  probing_ = true;
  return Answer::kProbe;
}

void Breaker::record(const Failure* failure, bool probe, Time now) {
  if (probe) {
    probing_ = false;
    if (failure != nullptr) {
      probes_passed_ = 0;
      wait_ = std::min(wait_ * 2, options_.retry_after_max);
      retry_at_ = now + wait_;
    } else if (++probes_passed_ >= options_.probes) {
      close();
    }
    return;
  }
  if (open_) return;  // tries that began before the trip say nothing new
  const bool timeout = failure != nullptr &&
                       (failure->kind == FailureKind::kTimeout || failure->kind == FailureKind::kConnection);
  const bool deadlock = failure != nullptr && failure->kind == FailureKind::kDeadlock;
  const std::uint64_t mask =
      options_.window == kWindowMax ? ~std::uint64_t{0} : (std::uint64_t{1} << options_.window) - 1;
  timeouts_in_row_ = timeout ? timeouts_in_row_ + 1 : 0;
  failed_ = ((failed_ << 1) | (failure != nullptr ? 1 : 0)) & mask;
  deadlocked_ = ((deadlocked_ << 1) | (deadlock ? 1 : 0)) & mask;
  tries_ = std::min(tries_ + 1, options_.window);
  const int failures = std::popcount(failed_);
  if (timeouts_in_row_ >= options_.timeouts_in_row) return trip("timeout", now);
  if (deadlock && std::popcount(deadlocked_) >= options_.deadlocks) return trip("deadlock", now);
  if (failures >= options_.failures && failures * 2 > tries_) return trip("error burst", now);
}

void Breaker::trip(const char* cause, Time now) {
  open_ = true;
  probing_ = false;
  probes_passed_ = 0;
  wait_ = options_.retry_after;
  retry_at_ = now + wait_;
  ++trips_;
  cause_ = cause;
}

void Breaker::reset() {
  close();
  probing_ = false;
}

void Breaker::close() {
  open_ = false;
  timeouts_in_row_ = 0;
  failed_ = deadlocked_ = 0;
  tries_ = 0;
  probes_passed_ = 0;
}

}  // namespace poundlock::client
