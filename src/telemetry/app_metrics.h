// What applications report about their flags, added up: cumulative for /metrics, and per flag since
// the rollout's present mark for the gates. Every table is bounded; what does not fit is counted in
// dropped() and never silently merged into something else.
//
// A report covers the time since the instance's previous one. The first report of an instance that was
// known when a mark began covers time on both sides of it and is left out of that window: otherwise
// the reads before a rollback would count as reads after it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/histogram.h"
#include "base/time.h"
#include "flag/report.h"
#include "ports/metrics_source.h"
#include "telemetry/evaluation_log.h"
#include "telemetry/flag_usage.h"

namespace poundlock::telemetry {

struct AppMetricsLimits {
  std::size_t instances_max = 12'000;
  std::size_t flags_max = 64;           // with a window; the one not asked for longest makes room
  std::size_t series_max = 256;         // (path, context) pairs in one window
  std::size_t totals_max = 1'024;       // (flag, path, side) rows of the cumulative figures
  std::size_t evaluations_max = 1'024;  // (flag, variant, reason) rows
  std::size_t breakers_max = 4'096;
  std::size_t blocks_max = 120;
  Millis silence{5'000};  // no report and no stream for this long: not connected
  Millis forget_departed{600'000};
  Millis forget_silent{24 * 3'600'000};
  // A reader over gRPC without a name of its own is known by its connection: another one is another reader.
  // The longest that flagd's providers wait between two tries; then it has come back, or left.
  Millis forget_anonymous{120'000};
  Millis heartbeat_max{300'000};  // the longest interval that an instance may announce
};

struct PathTotal {
  std::string flag, path;
  flag::Side side = flag::Side::kLegacy;
  flag::Counts counts;
  std::uint64_t fallbacks = 0;
  std::uint64_t user_errors = 0;
  Histogram latency;
};

struct EvaluationTotal {
  std::string flag, variant, reason;
  std::uint64_t count = 0;
};

// What is known of one instance and one revision.
enum class Reach {
  kAcknowledged,  // it said that it has applied it
  kDelivered,     // it was sent, to a reader whose protocol has no acknowledgement or who is yet to answer
  kDeparted,      // it left properly
  kUnknown,       // silent, or nothing was delivered
};
const char* to_string(Reach reach);

struct InstanceReach {
  rollout::InstanceInfo info;
  Reach reach = Reach::kUnknown;
  // From publication to acknowledgement; nullopt where it has not acknowledged, or came later.
  std::optional<Millis> took;
};

enum class Ingested { kCounted, kDuplicate, kRefused };

// Thread-safe.
class AppMetrics : public ports::MetricsSource {
 public:
  explicit AppMetrics(const Clock& clock, AppMetricsLimits limits = {});

  // Idempotent by (service, instance, sequence): the sequences of an instance grow from 1. A sequence
  // of 0 announces the instance and carries no figures; that, or a 1 after a larger one, is a new life
  // under the same name. kRefused: no place for one more instance.
  Ingested ingest(const flag::Report& report);

  // Streams: the server calls these as readers come and go. One instance may have several.
  void stream_opened(std::string_view service, std::string_view instance, std::string_view build);
  void stream_closed(std::string_view service, std::string_view instance);
  void departed(std::string_view service, std::string_view instance);  // left properly
  void acknowledge(std::string_view service, std::string_view instance, flag::Revision applied);
  // A stream over gRPC: it never acknowledges. `anonymous`: it gave no name for its instance. `evaluates`: it
  // does so by itself, and tells nobody.
  void grpc_opened(std::string_view service, std::string_view instance, std::string_view build,
                   bool anonymous, bool evaluates);
  // Streams of readers on other machines that brought no token: whoever they say they are, nobody is waited
  // for and no name is kept. Those that evaluate by themselves may need any flag.
  void stranger_opened() { strangers_.fetch_add(1, std::memory_order_relaxed); }
  void stranger_closed() { strangers_.fetch_sub(1, std::memory_order_relaxed); }
  std::int64_t strangers() const { return strangers_.load(std::memory_order_relaxed); }
  // The transport took this revision for the instance.
  void delivered(std::string_view service, std::string_view instance, flag::Revision revision);
  // `start` is of the caller's process, in any form: another one than before under the same name is a new
  // process, and what its predecessor had applied says nothing of it. "": not told.
  //
  // From an application in any language, each `interval`: it lives, and what it has applied. It counts as
  // silent after two and a half intervals, or the silence limit where that is longer.
  Ingested heartbeat(const flag::Report& hello, std::optional<flag::Revision> applied, Millis interval,
                     std::string_view start = {});

  // Of every instance, for a revision that was published at `at` (steady).
  std::vector<InstanceReach> reach(flag::Revision revision, TimePoint at);

  // Evaluations that this server did for others are taken from `log` whenever somebody asks; `usage` hears of
  // them and of those in reports. Both outlive this. Before the first report.
  void follow(EvaluationLog* log, FlagUsage* usage);
  void take_evaluations();

  Result<rollout::AppWindow> window(std::string_view flag, std::uint64_t mark,
                                    const std::vector<std::string>& excluded) override;

  std::vector<rollout::InstanceInfo> instances() const;
  // Of the only instance with this name; "" where there is none, or several services have one.
  std::string service_of(std::string_view instance) const;
  std::vector<PathTotal> path_totals() const;
  std::vector<EvaluationTotal> evaluation_totals() const;
  std::uint64_t reports() const;
  std::uint64_t dropped() const;  // rows that found no place

 private:
  struct Instance {
    rollout::InstanceInfo info;  // `connected` is worked out when asked for
    bool member = false;         // it registered or opened a stream; otherwise it only sends figures
    std::uint64_t sequence = 0;
    Millis silence{0};  // 0: the limit's
    bool anonymous = false;
    std::optional<std::string> start;  // of its process, as its beats tell it; nullopt: it never beat
    TimePoint born;                    // steady
    std::deque<std::pair<flag::Revision, TimePoint>> applied;  // the newest, with their (steady) times
    std::uint64_t number = 0;  // order of arrival: tells who was known before a mark began
    int streams = 0;
    TimePoint seen;  // steady
  };
  using InstanceKey = std::pair<std::string, std::string>;  // service, instance

  struct Second {  // one block, compact: a map node a bucket would cost eight times as much
    std::int64_t second = 0;
    std::uint64_t attempts = 0;
    std::uint64_t errors = 0;
    std::uint64_t timeouts = 0;
    std::uint64_t connection = 0;
    std::uint64_t fallbacks = 0;
    std::uint64_t user_errors = 0;
    std::vector<std::pair<std::uint16_t, std::uint32_t>> latency;  // bucket, count; ascending
  };
  struct SideSeries {
    flag::Counts counts;
    std::uint64_t fallbacks = 0;
    std::uint64_t user_errors = 0;
    Histogram latency;
    std::deque<Second> seconds;
  };
  struct Series {
    bool write = false;
    std::array<SideSeries, 2> sides;  // by flag::Side
  };
  struct Breaker {
    bool open = false;
    std::string cause;
    std::uint64_t trips = 0;
    std::uint64_t trips_before = 0;  // at the mark
  };
  struct Window {
    std::uint64_t mark = 0;
    TimePoint since;
    TimePoint newest;
    TimePoint asked;                  // steady
    std::uint64_t known_before = 0;   // instances with smaller numbers were there at the mark
    std::set<InstanceKey> straddled;  // of those: whose first report was left out already
    std::map<std::pair<std::string, std::string>, Series> series;     // path, context
    std::map<std::pair<InstanceKey, std::string>, Breaker> breakers;  // instance, path
    std::uint64_t shadow_compared = 0;
    std::uint64_t shadow_mismatches = 0;
    // Evaluations by context: of the legacy side, of the new one.
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>, std::less<>> evaluated;
    TimePoint unattested_at;
  };

  Instance* instance_of(std::string_view service, std::string_view name);
  bool make_room();
  void forget_old();
  bool is_connected(const Instance& instance) const;
  bool is_present(const InstanceKey& key) const;  // known, and connected
  static bool counts_in(Window& window, const InstanceKey& key, const Instance& instance);
  void add_totals(const flag::Report& report);
  void add_to_windows(const flag::Report& report, const InstanceKey& key, const Instance& instance);
  void add_path(Window& window, const flag::PathReport& path, std::int64_t second);
  static void add_second(SideSeries& series, const flag::PathReport& path, std::int64_t second,
                         std::size_t blocks_max);
  void add_breakers(const flag::Report& report, const InstanceKey& key, const Instance& instance);
  void close_breakers(const InstanceKey& key);
  void drop_unlisted_breakers(const flag::Report& report, const InstanceKey& key);
  static void begin_life(Instance& instance);
  static void note_applied(Instance& instance, flag::Revision applied, TimePoint now);
  void take_evaluations_locked();
  void add_evaluations(Window& window, const std::string& flag,
                       const std::vector<flag::EvaluationReport>& rows, bool attested);
  void add_evaluation_totals(const std::vector<flag::EvaluationReport>& rows);
  void begin(Window& window, std::uint64_t mark);
  void fill_paths(rollout::AppWindow& out, const Window& window,
                  const std::vector<std::string>& excluded) const;
  void fill_breakers(rollout::AppWindow& out, const Window& window) const;
  std::vector<rollout::InstanceInfo> instances_locked() const;

  const Clock& clock_;
  const AppMetricsLimits limits_;
  mutable std::mutex mutex_;
  std::map<InstanceKey, Instance> instances_;
  std::uint64_t next_number_ = 1;
  std::map<std::string, Window, std::less<>> windows_;
  std::map<std::tuple<std::string, std::string, int>, PathTotal> totals_;
  std::map<std::tuple<std::string, std::string, std::string>, EvaluationTotal> evaluations_;
  std::uint64_t reports_ = 0;
  std::uint64_t dropped_ = 0;
  TimePoint forgot_;  // steady
  std::atomic<std::int64_t> strangers_{0};
  EvaluationLog* log_ = nullptr;
  FlagUsage* usage_ = nullptr;
};

}  // namespace poundlock::telemetry
