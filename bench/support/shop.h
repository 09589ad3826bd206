// The database that the benchmarks of PostgreSQL share: a private durable server, the demo's table of orders
// at any size, and the product's own plan of a changed column carried out by its own runner. One thread.
#pragma once

#include <memory>
#include <string>

#include "change/operation.h"
#include "engine/step_runner.h"
#include "postgres/private_cluster.h"
#include "telemetry/system_clock.h"

namespace poundlock::bench {

class Shop {
 public:
  explicit Shop(std::vector<std::string> settings);  // ends the program where there is no server

  // Drops what is there; `rows` rows as the demo's application leaves them, vacuumed and cached.
  void make_orders(const std::string& table, long rows);
  change::OperationPlan plan(const std::string& table);  // legacy_status -> new_status varchar(32)
  rollout::StepOutcome run(const change::Step& step, const engine::BackfillOptions& backfill = {});
  void run(const change::OperationPlan& plan, std::string_view step_id);

  ports::Rows sql(const std::string& text);  // as the owner
  double number(const std::string& text);    // first column of the first row
  std::unique_ptr<ports::Session> connect();
  // CPU time of the server, ended backends included, and of this program. On a busy machine it tells more
  // than wall time.
  double cpu_seconds() const;
  Clock& clock() { return clock_; }
  postgres::PrivateCluster& cluster() { return *cluster_; }

 private:
  telemetry::SystemClock clock_;
  std::unique_ptr<postgres::PrivateCluster> cluster_;
  std::unique_ptr<ports::Database> database_;
  std::unique_ptr<ports::Session> session_;
};

const change::Step& step_of(const change::OperationPlan& plan, std::string_view id);

}  // namespace poundlock::bench
