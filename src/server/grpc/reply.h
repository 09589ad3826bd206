// What a call is answered with: a serialised message, or a gRPC status.
#pragma once

#include <string>
#include <utility>

namespace poundlock::server {

// Numbers as gRPC's specification has them (grpc/doc/statuscodes.md).
enum class GrpcCode : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kNotFound = 5,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

struct GrpcReply {
  GrpcCode code = GrpcCode::kOk;
  std::string text;   // for a person; with kOk empty
  std::string bytes;  // the message; only with kOk
};

inline GrpcReply grpc_failure(GrpcCode code, std::string text) {
  return GrpcReply{code, std::move(text), {}};
}

}  // namespace poundlock::server
