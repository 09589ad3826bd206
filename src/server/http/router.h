// Which handler answers a request, who may ask for it, and on which thread it runs. Filled before the
// server starts, never changed after: then safe to read from any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http/message.h"

namespace poundlock::server {

enum class Access {
  kHealth,    // never asks: load balancers and orchestrators have no token
  kRead,      // asks nobody who they are (the server binds to loopback unless told otherwise), but with
              // HttpOptions::reads_need_token for one of the tokens
  kEvaluate,  // values for applications: as kRead, refused as OFREP refuses
  kReport,    // what applications tell of themselves: from another machine it needs one of the two tokens
  kWrite,     // changes something: needs the admin token
};

enum class Run {
  kInline,    // on the io thread: must answer within microseconds and never wait
  kPrompt,    // on a worker pool of their own: orders and status, which wait for our own store at most
  kBlocking,  // on a small worker pool: whatever may wait for a database; a kill must not wait behind it
};

// Called from the io thread or a worker, by several threads at once except for kInline.
using Handler = std::function<Response(const Request&)>;

struct Route {
  std::string method;
  std::string pattern;
  std::vector<std::string> segments;  // "{name}" is a parameter
  Handler handler;
  Access access = Access::kRead;
  Run run = Run::kInline;
};

class Router {
 public:
  // "/v1/rollouts/{name}/promote": a segment in braces takes any one segment and becomes a path
  // parameter; a literal segment goes before a parameter. A GET route answers HEAD too.
  void add(std::string_view method, std::string_view pattern, Handler handler, Access access,
           Run run = Run::kInline);
  // The first mistake in the calls of add() (two equal routes, a malformed pattern); the server
  // refuses to start with it.
  const Status& problem() const { return problem_; }

  struct Match {
    const Route* route = nullptr;
    std::vector<std::string> allowed;  // where the path exists for other methods only
  };
  // Fills request.params. `segments` is what parse_target() answered.
  Match match(std::string_view method, const std::vector<std::string>& segments, Request& request) const;

 private:
  std::vector<Route> routes_;  // more literal patterns first
  Status problem_;
};

}  // namespace poundlock::server
