// flagd.evaluation.v1 and v2 without their transport: bytes of a request in, bytes of the answer or a status
// out. Where the two differ is flagd's doing: with no default variant version 1 says NOT_FOUND, version 2
// leaves the value out. The messages of both are the same on the wire.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "flag/snapshot.h"
#include "server/grpc/reply.h"
#include "telemetry/evaluation_log.h"

namespace poundlock::server {

struct EvaluationCall {
  const flag::Snapshot& snapshot;
  int version = 2;           // of the protocol
  std::string_view method;   // "ResolveBoolean"
  std::string_view request;  // serialised
  // Overlays the caller's context: flagd's static context, and what was taken from request headers.
  const boost::json::object& overlay;
  std::int64_t now_s = 0;                           // Unix seconds
  telemetry::EvaluationLog* evaluations = nullptr;  // null: nothing is counted
};

// Statuses: kInvalidArgument (no such message, or a wrong type), kNotFound, kDataLoss (the rule does not
// compile), kUnknown (any other error of the evaluation), kUnimplemented (no such method). Thread-safe.
GrpcReply evaluate(const EvaluationCall& call);

}  // namespace poundlock::server
