// When each flag, each of its variants and each branch of its rule was last evaluated, to the day and over
// restarts: what nobody needs any more. Only where somebody reports is there evidence: `since` says from
// when.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "flag/report.h"

namespace poundlock::telemetry {

struct FlagUse {
  std::int64_t last_day = -1;                                 // days since 1970-01-01, UTC
  std::map<std::string, std::int64_t, std::less<>> variants;  // the day of each
  std::map<int, std::int64_t> branches;
  TimePoint unattested_at;  // when a reader last evaluated it of whose build nothing is known
};

struct FlagUsageLimits {
  std::size_t flags_max = 10'000;
  std::size_t details_max = 64;  // variants, and branches, of one flag
};

// Thread-safe.
class FlagUsage {
 public:
  explicit FlagUsage(FlagUsageLimits limits = {}) : limits_(limits) {}

  // `attested`: by readers that report, and so tell their build.
  void add(const std::vector<flag::EvaluationReport>& rows, TimePoint now, bool attested = true);
  TimePoint unattested(std::string_view flag) const;  // of the flag, or of KEY.stage beside it; 0 for never
  // Forgets flags that are not among `keys`: they are gone.
  void keep_only(const std::vector<std::string>& keys);

  std::map<std::string, FlagUse, std::less<>> all() const;
  TimePoint since() const;    // when records began
  void begin(TimePoint now);  // they begin now, unless they began before

  // A number that grows with every change of what save() would write.
  std::uint64_t version() const;
  std::string save() const;
  Status load(std::string_view text);

 private:
  const FlagUsageLimits limits_;
  mutable std::mutex mutex_;
  std::map<std::string, FlagUse, std::less<>> flags_;
  TimePoint since_;
  std::uint64_t version_ = 0;
};

}  // namespace poundlock::telemetry
