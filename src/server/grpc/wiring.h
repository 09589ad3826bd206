// The gRPC ports of a service, as its options want them.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "server/grpc/grpc_server.h"
#include "server/service.h"

namespace poundlock::server {

struct GrpcPorts {
  std::unique_ptr<GrpcServer> server;  // null: no port was wished for
  std::vector<Bound> bound;            // "grpc-eval" and "grpc-sync"
  std::vector<std::string> warnings;   // usual ports that are taken, and so are done without
};

// `service` and `clock` outlive the answer. Errors are GrpcServer::start()'s.
Result<GrpcPorts> start_grpc(Service& service, const Clock& clock);

}  // namespace poundlock::server
