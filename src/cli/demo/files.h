// The demo's schema, its poundlock.yaml and its rollout.
#pragma once

#include <array>
#include <string>

namespace poundlock::cli {

inline constexpr const char* kDemoRollout = "orders_status_v2";

// 1,000 customers and 1,000 statuses, so that an index on the status is worth using.
inline constexpr std::array<const char*, 3> kSchema{
    "CREATE TABLE public.orders (id bigint PRIMARY KEY, customer bigint NOT NULL, legacy_status varchar(32),"
    " amount numeric(12,2) NOT NULL DEFAULT 0, updated_at timestamptz NOT NULL DEFAULT now())",
    "CREATE INDEX idx_orders_legacy_status ON public.orders (legacy_status)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON public.orders TO writer"};
inline constexpr const char* kFill =
    "INSERT INTO public.orders (id, customer, legacy_status, amount) SELECT i, i % 1000,"
    " 'st_' || lpad((pg_catalog.hashint8(i) & 1023)::text, 3, '0'), (i % 500) + 0.5"
    " FROM generate_series(1, $1::bigint) i";

std::string demo_config(int port, int replica_port, const std::string& state);
std::string demo_rollout();

}  // namespace poundlock::cli
