// How a flag setting reaches applications.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "flag/report.h"

namespace poundlock::ports {

// Thread-safe. Publishing never touches a target database, so that a kill works without one.
class FlagPublisher {
 public:
  virtual ~FlagPublisher() = default;
  // Replaces the rollout's flags by this flagd document part ({"KEY": {...}, "KEY.stage": {...}}) in
  // one revision, durable before it returns. Publishing what is already published changes nothing and
  // answers the current revision.
  virtual Result<flag::Revision> publish(std::string_view rollout, std::string_view flags_json) = 0;
};

}  // namespace poundlock::ports
