// From OTLP metrics to the figures that gates judge. Which metrics and attributes count is the contract with
// applications of any language, docs/PARTICIPATE.md:
//
//   db.client.operation.duration or poundlock.attempt.duration, a histogram: one sample an attempt
//     feature_flag.key             the flag that steered it (without it the sample is somebody else's)
//     feature_flag.result.variant  on, true, live, rampdown, complete: the new side; others: legacy
//     poundlock.path, else db.query.summary, else db.operation.name: the path's name
//     poundlock.context            the evaluation context's `context`
//     poundlock.fallback           true: legacy answered what new had failed at
//     error.type, db.response.status_code: absent where the attempt succeeded
//     poundlock.recovered          true: it failed, and the user got an answer all the same
//   feature_flag.evaluation_success_total, feature_flag.evaluation_error_total, sums (OpenFeature's metrics
//     hook): feature_flag.key, feature_flag.result.variant, feature_flag.result.reason
//
// An instance is service.name with service.instance.id (else host.name and process.pid, else the peer).
// OpenTelemetry semantic conventions 1.37: database, feature flags, service.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "flag/report.h"
#include "server/otlp/metrics.h"

namespace poundlock::server::otlp {

// Exports that carry sums since the process began are turned into what is new since the last one; of a series
// seen for the first time nothing is counted, since it may hold hours. Thread-safe.
class Reports {
 public:
  explicit Reports(std::size_t series_max = 8'192) : series_max_(series_max) {}

  struct Taken {
    std::vector<flag::Report> reports;  // one an instance; Report::member is false
    std::uint64_t rejected = 0;         // points that found no place or had no temporality
    // Samples that count as attempts but tell no latency, since their buckets are wider than a gate's 15 %.
    std::uint64_t coarse = 0;
  };
  Taken take(const std::vector<Resource>& resources, std::string_view peer);

 private:
  struct Series {
    std::uint64_t start_ns = 0;
    std::uint64_t time_ns = 0;
    std::uint64_t count = 0;
    std::vector<std::uint64_t> counts;
    Exponential exponential;
    std::uint64_t used = 0;  // the export that touched it last
  };
  using SeriesKey = std::tuple<std::string, std::string, std::string, Attributes>;

  void add(const Metric& metric, Point point, flag::Report& report, Taken& out);
  bool to_delta(const SeriesKey& key, Temporality temporality, Point& point, bool& known);
  bool make_room();

  const std::size_t series_max_;
  std::mutex mutex_;
  std::map<SeriesKey, Series> series_;
  bool full_ = false;          // of this export: no series is left that it does not feed
  std::uint64_t exports_ = 1;  // sequence of reports: 0 and 1 announce a new life
};

}  // namespace poundlock::server::otlp
