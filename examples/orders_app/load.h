// The example's plumbing: options, pace, figures, injected faults, stopping. Nothing here knows Poundlock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace orders {

struct Options {
  std::string dsn;
  std::string server = "http://127.0.0.1:8016";
  std::string flag = "schema_v2_migration";
  std::string token, build = "dev", instance, journal, fault_file, stats_file, override_file, cache_file;
  int readers = 4;
  int writers = 2;
  int rate = 200;   // statements a second, all threads together
  int seconds = 0;  // 0: until SIGTERM
  bool legacy_path = true;
};
// Explains itself on standard error and answers false where the arguments make no sense.
bool parse_options(int argc, char** argv, Options& options);

enum class Fault { kNone, kSlow, kFail };

// Figures of the whole process; any thread.
struct Stats {
  std::atomic<std::uint64_t> statements{0}, fallbacks{0}, excluded_context_reads_new{0};
  // Statements and connections that failed, also where a further try went well; injected faults left out.
  std::atomic<std::uint64_t> errors{0};
  std::atomic<std::uint64_t> user_errors{0};  // units of work that failed, whatever the reason
  std::atomic<std::uint64_t> reads_legacy{0}, reads_new{0}, writes_legacy{0}, writes_new{0};
  std::atomic<std::uint64_t> writes_acknowledged{0}, injected_faults{0};
};

class Load {
 public:
  explicit Load(Options options);
  const Options& options() const { return options_; }
  Stats& stats() { return stats_; }
  Fault fault() const { return fault_.load(std::memory_order_relaxed); }
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  // An error that reached a user: counted, and its message kept beside the stats file.
  void user_error(const char* what, const std::string& message);

  // Runs `reader(i)` and `writer(i)` in threads, each called again and again at the wanted pace, until
  // SIGTERM, SIGINT or the time is up; writes the stats file every second. The factories run in the thread.
  using Step = std::function<void()>;
  void run(const std::function<Step(int)>& reader, const std::function<Step(int)>& writer);

 private:
  void work(const Step& step, double per_second);
  void tick();
  void write_stats();

  const Options options_;
  Stats stats_;
  std::atomic<Fault> fault_{Fault::kNone};
  std::atomic<bool> stopping_{false};
  std::mutex errors_mutex_;
  int errors_logged_ = 0;
};

// "st_000" to "st_999": enough different ones that an index on them is worth using.
std::string random_status(std::minstd_rand& random);
int random_below(std::minstd_rand& random, int end);

}  // namespace orders
