// The two files that `poundlock init` writes.
#include "rollout/config.h"

namespace poundlock::rollout {

std::string_view example_config() {
  return R"(# Environments with their databases. No password belongs into this file: write ${NAME} for an
# environment variable, or password_file for a file that holds it.
environments:
  dev:
    parity: none                  # no database has to be like this one
    databases:
      app:
        url: ${DATABASE_URL}
        shadow: {create: true}
  staging:
    databases:
      app:
        url: ${STAGING_DATABASE_URL}
        shadow: {create: true}
  prod:
    parity: staging               # compared before a rollout: version, settings, extensions, schema
    databases:
      app:
        url: postgres://app:${PROD_DATABASE_PASSWORD}@db.example.com:5432/app
        replicas: ["postgres://app:${PROD_DATABASE_PASSWORD}@replica1.example.com:5432/app"]
        shadow: {create: true, rows: 20000}
default_environment: dev
server: {listen: "127.0.0.1:8016", state: ./state}
)";
}

std::string_view example_rollout() {
  return R"(rollout: orders_status_v2
database: app
change:
  - change_column:
      table: orders
      from: legacy_status
      to: {name: new_status, type: varchar(32), default: "'pending'"}
      up: legacy_status           # legacy -> new; any SQL expression on the row
      down: new_status            # new -> legacy
      indexes: [{name: idx_orders_new_status, columns: [new_status]}]
paths:                            # the application's statements, both ways
  - name: by_status
    legacy: SELECT id, legacy_status AS status FROM orders WHERE legacy_status = $1
    new: SELECT id, new_status AS status FROM orders WHERE new_status = $1
feature_flags:
  schema_v2_migration:
    enabled: true
    rollout_strategy: percentage
    initial_percentage: 1
    increment_step: 5             # or steps: [1, 5, 25, 50, 100]
    increment_interval: 15m
    targeting_rules:
      - {context: "internal", percentage: 100}
      - {context: "batch_processor", enabled: false}   # keeps cron out
windows: {overlap: 14d, dual_write: 7d, observe: 72h}
gates: {}                         # only what differs from the defaults; `poundlock plan` lists them
)";
}

}  // namespace poundlock::rollout
