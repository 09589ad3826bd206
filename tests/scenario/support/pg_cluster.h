// The private PostgreSQL server of the tests; see postgres/private_cluster.h.
#pragma once

#include "postgres/private_cluster.h"

namespace poundlock::scenario {

using ClusterOptions = postgres::ClusterOptions;
using PgCluster = postgres::PrivateCluster;

}  // namespace poundlock::scenario
