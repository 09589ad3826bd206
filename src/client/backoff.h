// How long to wait before the next try: a random time between nothing and a ceiling that doubles up to a
// limit
// ("full jitter", M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015). After a restart
// of the server its clients must not come back all at once. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace poundlock::client {

class Backoff {
 public:
  using Delay = std::chrono::milliseconds;

  Backoff(Delay first, Delay most, std::uint32_t seed)
      : first_(first), most_(most), ceiling_(first), random_(seed) {}

  Delay next() {
    const Delay delay(std::uniform_int_distribution<std::int64_t>(0, ceiling_.count())(random_));
    ceiling_ = std::min(ceiling_ * 2, most_);
    return delay;
  }
  // A connection ended after `lasted`. One that was good for a while starts the delays over; one that a
  // server takes and drops at once does not, or its clients would keep it busy with that.
  void ended(bool was_good, Delay lasted) {
    if (was_good && lasted >= most_) ceiling_ = first_;
  }

 private:
  Delay first_;
  Delay most_;
  Delay ceiling_;
  std::minstd_rand random_;
};

}  // namespace poundlock::client
