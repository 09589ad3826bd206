#include "postgres/lock_sampler.h"

#include <atomic>
#include <optional>
#include <thread>

#include "ports/cells.h"

namespace poundlock::postgres {
namespace {

constexpr Millis kEvery{2};

// Asked for counts as well: it is what the others queue behind.
constexpr const char* kLocks =
    "SELECT relation, mode FROM pg_catalog.pg_locks WHERE pid = $1 AND locktype = 'relation' AND database = "
    "(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

class ThreadedSampler final : public ports::LockSampler {
 public:
  explicit ThreadedSampler(Clock& clock) : clock_(clock) {}
  ~ThreadedSampler() override { join(); }

  Status start(ports::Database& database, int backend_pid) override {
    join();
    seen_.clear();
    error_.reset();
    pid_ = std::to_string(backend_pid);
    PL_TRY(session_, database.connect());
    PL_CHECK(look());
    stop_ = false;
    thread_ = std::thread([this] {
      while (!stop_) {
        if (auto looked = look(); !looked) {
          error_ = looked.error();
          return;
        }
        clock_.sleep(kEvery);
      }
    });
    return {};
  }

  Result<ports::RelationLocks> stop() override {
    join();
    if (error_) return fail(*error_);
    return seen_;
  }

 private:
  void join() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    session_.reset();
  }

  Status look() {
    PL_TRY(const auto rows, session_->run(kLocks, {pid_}));
    for (const auto& row : rows.rows) seen_.emplace(ports::to_oid(row[0]), ports::to_text(row[1]));
    return {};
  }

  Clock& clock_;
  std::unique_ptr<ports::Session> session_;
  std::string pid_;
  std::atomic<bool> stop_{true};
  std::thread thread_;
  ports::RelationLocks seen_;  // the thread's own until it is joined
  std::optional<Error> error_;
};

}  // namespace

std::unique_ptr<ports::LockSampler> make_lock_sampler(Clock& clock) {
  return std::make_unique<ThreadedSampler>(clock);
}

}  // namespace poundlock::postgres
