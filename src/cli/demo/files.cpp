#include "cli/demo/files.h"

#include <fmt/format.h>

namespace poundlock::cli {

std::string demo_config(int port, int replica_port, const std::string& state) {
  return fmt::format(R"(# The demo's site: production with a replica and a shadow, and staging beside it.
environments:
  prod:
    parity: staging
    databases:
      app:
        url: "postgresql://app:${{DEMO_PASSWORD}}@127.0.0.1:{0}/app"
        replicas: ["postgresql://app:${{DEMO_PASSWORD}}@127.0.0.1:{1}/app"]
        shadow: {{create: true, rows: 20000}}
  staging:
    databases:
      app: {{url: "postgresql://app:${{DEMO_PASSWORD}}@127.0.0.1:{0}/app_staging"}}
default_environment: prod
server: {{listen: "127.0.0.1:0", state: "{2}"}}
)",
                     port, replica_port, state);
}

std::string demo_rollout() {
  return R"(rollout: orders_status_v2
database: app
change:
  - change_column:
      table: orders
      from: legacy_status
      to: {name: new_status, type: varchar(32), default: "'pending'"}
      up: legacy_status
      down: new_status
      indexes: [{name: idx_orders_new_status, columns: [new_status]}]
paths:
  - name: by_status
    legacy: SELECT id, legacy_status AS status FROM orders WHERE legacy_status = $1
    new: SELECT id, new_status AS status FROM orders WHERE new_status = $1
  - name: by_id
    legacy: SELECT id, legacy_status AS status FROM orders WHERE id = $1
    new: SELECT id, new_status AS status FROM orders WHERE id = $1
feature_flags:
  schema_v2_migration:
    enabled: true
    rollout_strategy: percentage
    initial_percentage: 1
    steps: [1, 5, 25, 50, 100]
    increment_interval: 15m
    targeting_rules:
      - {context: "internal", percentage: 100}
      - {context: "batch_processor", enabled: false}
windows: {overlap: 14d, dual_write: 7d, observe: 72h}
# Sample minima that four minutes of a small application can meet. Limits are the defaults.
gates: {all: {min_samples: 20}}
)";
}

}  // namespace poundlock::cli
