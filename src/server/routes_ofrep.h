// The OpenFeature Remote Evaluation Protocol (OFREP, OpenAPI 0.3.0): single and bulk evaluation, and the
// event stream that tells readers to ask again (its ADR 0008).
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>

#include "base/time.h"
#include "server/flag_feed.h"
#include "server/http/event_loop.h"
#include "server/http/router.h"
#include "telemetry/evaluation_log.h"

namespace poundlock::server {

// What is referred to outlives the router.
struct OfrepParts {
  FlagFeed& flags;
  telemetry::EvaluationLog& log;
  const Clock& clock;
  EventLoop& loop;
  std::size_t streams_max = 10'000;
  boost::json::object context_values = {};  // attributes of every evaluation, outranking the request's
};

inline constexpr char kOfrepEvents[] = "/ofrep/v1/sse";  // the path that flagd uses, too

void add_ofrep_routes(Router& router, OfrepParts parts);

}  // namespace poundlock::server
