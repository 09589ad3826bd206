// The application's statements, for both sides of the change; the rollout's file names the same paths.
#pragma once

#include <string>

#include "orders_app/load.h"
#include "poundlock/context.h"

namespace orders {

struct Path {
  const char* name;
  const char* legacy;
  const char* fresh;
  const char* slow = nullptr;  // what `fresh` becomes while a fault is injected
  const char* fail = nullptr;
};

inline constexpr Path kByStatus{
    "by_status", "SELECT id, legacy_status AS status FROM orders WHERE legacy_status = $1",
    "SELECT id, new_status AS status FROM orders WHERE new_status = $1",
    "SELECT id, new_status AS status FROM orders, pg_sleep(0.06) WHERE new_status = $1",
    "SELECT id, new_status AS status FROM orders WHERE new_status = $1 AND 1 / (id - id) = 1"};
inline constexpr Path kById{
    "by_id", "SELECT id, legacy_status AS status FROM orders WHERE id = $1",
    "SELECT id, new_status AS status FROM orders WHERE id = $1",
    "SELECT id, new_status AS status FROM orders, pg_sleep(0.06) WHERE id = $1",
    "SELECT id, new_status AS status FROM orders WHERE id = $1 AND 1 / (id - id) = 1"};
inline constexpr Path kSetStatus{"set_status",
                                 "UPDATE orders SET legacy_status = $2, updated_at = now() WHERE id = $1",
                                 "UPDATE orders SET new_status = $2, updated_at = now() WHERE id = $1"};
inline constexpr Path kInsert{
    "insert",
    "INSERT INTO orders (id, customer, legacy_status, amount, updated_at) VALUES ($1, $2, $3, 10, now())",
    "INSERT INTO orders (id, customer, new_status, amount, updated_at) VALUES ($1, $2, $3, 10, now())"};

inline const char* fresh_sql(const Path& path, Fault fault) {
  if (fault == Fault::kSlow) return path.slow;
  return fault == Fault::kFail ? path.fail : path.fresh;
}

inline constexpr const char* kExcluded = "batch_processor";

// Two of ten are internal, one is a batch job, the others are ordinary users.
inline poundlock::Context someone(const std::string& customer, std::minstd_rand& random) {
  poundlock::Context context{.targeting_key = customer, .attributes = {}};
  const int lot = random_below(random, 10);
  if (lot < 2) context.attributes.emplace_back("context", std::string("internal"));
  if (lot == 2) context.attributes.emplace_back("context", std::string(kExcluded));
  return context;
}

inline bool is_excluded(const poundlock::Context& context) {
  return !context.attributes.empty() && std::get<std::string>(context.attributes[0].second) == kExcluded;
}

}  // namespace orders
