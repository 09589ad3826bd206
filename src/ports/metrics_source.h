// Where the figures of applications come from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rollout/observation.h"

namespace poundlock::ports {

// Thread-safe.
class MetricsSource {
 public:
  virtual ~MetricsSource() = default;
  // Counts of the flag since the mark began. A mark that was not seen before for this flag begins now
  // and answers empty counts; older marks are forgotten. Contexts in `excluded` are left out of
  // `paths` and reported in `contexts` only. kRetry when the source cannot be read.
  virtual Result<rollout::AppWindow> window(std::string_view flag, std::uint64_t mark,
                                            const std::vector<std::string>& excluded) = 0;
};

}  // namespace poundlock::ports
