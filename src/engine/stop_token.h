// How a long piece of work learns that it is no longer wanted: asked between statements, never inside one.
#pragma once

#include <functional>

namespace poundlock::engine {

struct StopToken {
  std::function<bool()> stopped;  // thread-safe; empty: never
  bool stop() const { return stopped && stopped(); }
};

}  // namespace poundlock::engine
