// One gRPC address: takes calls by their method's name, without generated service code, and answers them or
// hands them to the hub of streams.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <atomic>
#include <cstddef>
#include <string>

#include "server/grpc/stream_hub.h"

namespace poundlock::server {

// What the endpoints of one server share.
struct EndpointParts {
  FlagFeed& feed;
  const Clock& clock;
  const GrpcOptions& options;
  StreamHub& hub;
  std::atomic<std::size_t> calls{0};
};

enum class Serves { kSync, kEvaluation };

// Thread-safe: gRPC calls it from its own threads.
class Endpoint final : public grpc::CallbackGenericService {
 public:
  Endpoint(EndpointParts& parts, Serves serves) : parts_(parts), serves_(serves) {}
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

 private:
  EndpointParts& parts_;
  const Serves serves_;
};

}  // namespace poundlock::server
