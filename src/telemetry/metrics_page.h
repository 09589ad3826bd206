// The page that Prometheus scrapes (text format 0.0.4): what the server sets here, the process' own
// figures, and the applications' totals.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "telemetry/app_metrics.h"

namespace poundlock::telemetry {

using Labels = std::map<std::string, std::string>;
using Samples = std::vector<std::pair<Labels, double>>;

// Thread-safe. Names and labels that Prometheus does not allow are left out, and so is what lies
// beyond 512 families or 1,000 samples in one: a scrape never fails because of one value.
class MetricsPage {
 public:
  // A gauge. `name` like "poundlock_flag_revision"; the help of the first call stays.
  void set(std::string_view name, std::string_view help, Labels labels, double value);
  // All samples of a gauge at once: those that are not named any more disappear.
  void replace(std::string_view name, std::string_view help, Samples samples);
  // A counter; its name ends in _total.
  void add(std::string_view name, std::string_view help, Labels labels, double by);

  // `apps` may be null.
  std::string render(const AppMetrics* apps) const;
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Family {
    std::string help;
    bool counter = false;
    std::map<Labels, double> samples;
  };
  Family* family(std::string_view name, std::string_view help, bool counter);

  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
};

}  // namespace poundlock::telemetry
