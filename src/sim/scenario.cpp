#include "sim/scenario.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "rollout/gate.h"
#include "rollout/spec.h"
#include "schema/catalog.h"

namespace poundlock::sim {
namespace {

constexpr std::string_view kRollout = R"(rollout: simulated
database: app
change:
  - change_column:
      table: orders
      from: legacy_status
      to: {name: new_status, type: text, default: "'pending!'"}
      up: legacy_status || '!'
      down: pg_catalog.left(new_status, -1)
      indexes: [{name: idx_orders_new_status, columns: [new_status]}]
paths:
  - name: by_status
    legacy: SELECT id FROM orders WHERE legacy_status = $1
    new: SELECT id FROM orders WHERE new_status = $1
feature_flags:
  simulated_status:
    enabled: true
    rollout_strategy: percentage
    initial_percentage: 40
    steps: [40, 70, 100]
    increment_interval: 10m
    targeting_rules:
      - {context: "internal", percentage: 100}
      - {context: "batch", enabled: false}
windows: {overlap: 120m, dual_write: 50m, observe: 33m}
gates:
  all: {min_samples: 300}
)";
constexpr double kSpeed = 100;  // 10m are 6 s

// The gates that look at what this world has. What others ask is a real server's, replica's or shadow's to
// answer.
constexpr std::array<std::string_view, 13> kArmed{
    "breakers",        "error_rate",      "fallback_rate",      "latency_p95",       "latency_p99",
    "readers_applied", "excluded_on_new", "instances_attested", "references_legacy", "references_new",
    "slo_errors",      "sync_installed",  "verify_mismatches"};

schema::Catalog catalog() {
  schema::Table orders;
  orders.oid = 16400;
  orders.schema = "public";
  orders.name = "orders";
  orders.owner = "app";
  orders.columns = {{1, "id", "bigint", true, std::nullopt, "", "", ""},
                    {2, "legacy_status", "text", true, "'pending'::text", "", "", ""}};
  orders.primary_key = {"id"};
  orders.estimated_rows = 24;
  schema::Catalog out;
  out.server_version_num = 150006;
  out.database = "app";
  out.tables.push_back(std::move(orders));
  return out;
}

}  // namespace

Result<rollout::Plan> scenario_plan() {
  PL_TRY(auto spec, rollout::parse_rollout(kRollout, "simulated.yaml"));
  for (const rollout::Gate* gate : rollout::all_gates()) {
    if (std::find(kArmed.begin(), kArmed.end(), gate->id) == kArmed.end())
      spec.gates[std::string(gate->id)].waived = "not part of the simulated world";
  }
  rollout::PlanOptions options;
  options.speed = kSpeed;
  return rollout::make_plan(spec, catalog(), options);
}

}  // namespace poundlock::sim
