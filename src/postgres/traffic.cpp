#include "postgres/traffic.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace poundlock::postgres {
namespace {

using ports::Cell;
using ports::TrafficStatement;

constexpr int kSessionsMax = 16;
constexpr Millis kSampleEvery{10};
// Between two statements of one session: enough of them to meet a short lock, and CPU left for the change.
constexpr Millis kThink{1};

// A session of the replay that waits for a lock, with the longest wait now.
constexpr const char* kWaiters =
    "SELECT coalesce(max(extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart) * 1000), 0)::bigint"
    " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)"
    " WHERE NOT l.granted AND l.waitstart IS NOT NULL AND a.application_name = 'poundlock replay'"
    " AND a.datname = pg_catalog.current_database()";
constexpr const char* kDeadlocks =
    "SELECT deadlocks FROM pg_catalog.pg_stat_database WHERE datname = pg_catalog.current_database()";

class ThreadedTraffic final : public ports::Traffic {
 public:
  explicit ThreadedTraffic(Clock& clock) : clock_(clock) {}
  ~ThreadedTraffic() override { join(); }

  Status start(ports::Database& database, std::vector<TrafficStatement> statements,
               std::string_view search_path, int sessions, Millis wait_limit) override {
    join();
    report_ = {};
    victims_ = 0;
    stop_ = false;
    wait_limit_ = wait_limit;
    statements_ = std::move(statements);
    PL_TRY(watcher_, database.connect());
    PL_TRY(deadlocks_before_, deadlocks());
    for (int i = 0; i < std::clamp(sessions, 1, kSessionsMax); ++i) {
      PL_TRY(auto session, database.connect());
      PL_CHECK(session->run("SET application_name = 'poundlock replay'"));
      PL_CHECK(session->run("SET statement_timeout = '10s'"));
      PL_CHECK(session->run("SET search_path = " + std::string(search_path)));
      sessions_.push_back(std::move(session));
    }
    for (std::size_t i = 0; i < sessions_.size(); ++i)
      threads_.emplace_back([this, i] { play(*sessions_[i], i); });
    threads_.emplace_back([this] { watch(); });
    return {};
  }

  ports::TrafficReport stop() override {
    join();
    return report_;
  }

 private:
  void join() {
    stop_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    sessions_.clear();
    if (watcher_) {
      // The server's counter is up to a second late: our own victims count as well.
      if (auto now = deadlocks()) report_.deadlocks = *now > deadlocks_before_ ? *now - deadlocks_before_ : 0;
      report_.deadlocks = std::max(report_.deadlocks, victims_);
      watcher_.reset();
    }
  }

  Result<std::uint64_t> deadlocks() {
    PL_TRY(const auto rows, watcher_->run(kDeadlocks));
    return rows.rows.empty() ? 0 : std::stoull(rows.rows[0].at(0).value_or("0"));
  }

  void play(ports::Session& session, std::size_t offset) {
    // Sessions that all began with the same statement would wait for each other only; but a transaction is
    // to be played from its beginning.
    if (statements_.empty() || statements_.front().sql == "BEGIN") offset = 0;
    for (std::size_t round = offset; !stop_; ++round) {
      const TrafficStatement& statement = statements_[round % statements_.size()];
      const auto& samples = statement.samples;
      const std::vector<Cell> params =
          samples.empty() ? std::vector<Cell>{} : samples[round % samples.size()];
      const TimePoint began = clock_.steady();
      auto rows = session.run(ports::Sql{statement.sql, params});
      const Millis took = clock_.steady() - began;
      {
        std::lock_guard lock(mutex_);
        report_.statements += 1;
        report_.longest_statement = std::max(report_.longest_statement, took);
        if (!rows && rows.error().sqlstate == "40P01") {
          victims_ += 1;
          if (report_.first_deadlock.empty()) report_.first_deadlock = statement.sql;
        } else if (!rows) {
          // Each has worked before: one that now runs into its time-out was held up by the change.
          const bool of_rows = ports::is_of_rows(rows.error()) && rows.error().sqlstate != "57014";
          const bool first = report_.errors == (of_rows ? 0 : report_.row_errors);
          report_.errors += 1;
          if (of_rows) report_.row_errors += 1;
          if (first) report_.first_error = statement.name + ": " + rows.error().to_string();
        }
      }
      if (!rows && session.broken()) return;
      if (!rows) (void)session.run("ROLLBACK");  // of a transaction that is played
      clock_.sleep(kThink);
    }
  }

  void watch() {
    std::uint64_t last = 0;
    while (!stop_) {
      if (auto rows = watcher_->run(kWaiters); rows && !rows->rows.empty()) {
        const std::uint64_t wait = std::stoull(rows->rows[0].at(0).value_or("0"));
        const auto limit = static_cast<std::uint64_t>(wait_limit_.count());
        std::lock_guard lock(mutex_);
        report_.longest_wait = std::max(report_.longest_wait, Millis{static_cast<std::int64_t>(wait)});
        if (wait > limit && last <= limit) report_.long_waits += 1;  // each wait once, as it passes the limit
        last = wait;
      }
      clock_.sleep(kSampleEvery);
    }
  }

  Clock& clock_;
  std::vector<TrafficStatement> statements_;
  Millis wait_limit_{50};
  std::atomic<bool> stop_{true};
  std::vector<std::unique_ptr<ports::Session>> sessions_;
  std::unique_ptr<ports::Session> watcher_;
  std::vector<std::thread> threads_;
  std::uint64_t deadlocks_before_ = 0;
  std::uint64_t victims_ = 0;
  std::mutex mutex_;
  ports::TrafficReport report_;
};

}  // namespace

std::unique_ptr<ports::Traffic> make_traffic(Clock& clock) {
  return std::make_unique<ThreadedTraffic>(clock);
}

}  // namespace poundlock::postgres
