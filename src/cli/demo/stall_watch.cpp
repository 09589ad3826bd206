#include "cli/demo/stall_watch.h"

#include <cstdlib>

namespace poundlock::cli {
namespace {

constexpr Millis kEvery{10};
constexpr const char* kLongestWait =
    "SELECT coalesce(max(extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart) * 1000000), "
    "0)::bigint"
    " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
    " WHERE NOT l.granted AND l.waitstart IS NOT NULL AND a.application_name = $1 AND EXISTS ("
    "SELECT 1 FROM unnest(pg_catalog.pg_blocking_pids(l.pid)) b(pid)"
    " JOIN pg_catalog.pg_stat_activity s ON s.pid = b.pid WHERE s.application_name LIKE 'poundlock%')";

}  // namespace

StallWatch::StallWatch(std::unique_ptr<ports::Session> session, Clock& clock, std::string application)
    : session_(std::move(session)), clock_(clock), application_(std::move(application)) {
  // Not one of those that it looks for.
  failed_ = !session_->run("SET application_name = 'demo stall watch'").has_value();
  thread_ = std::thread([this] { watch(); });
}

StallWatch::~StallWatch() {
  stop_ = true;
  thread_.join();
}

void StallWatch::watch() {
  while (!stop_) {
    auto rows = session_->run(ports::Sql{kLongestWait, {application_}});
    if (!rows || rows->rows.empty()) {
      if (session_->broken()) {
        failed_ = true;
        return;
      }
    } else {
      const std::int64_t wait = std::atoll(rows->rows[0].at(0).value_or("0").c_str());
      if (wait > longest_us_) longest_us_ = wait;
      samples_ += 1;
    }
    clock_.sleep(kEvery);
  }
}

}  // namespace poundlock::cli
