// The HTTP API of poundlockd as the verbs use it: where the server is, the admin token, JSON bodies, and its
// errors as ours. One thread.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/context.h"
#include "cli/http_client.h"

namespace poundlock::cli {

class Api {
 public:
  // The address: --server, else POUNDLOCK_SERVER, else STATE/server.json, which poundlockd writes, else host
  // and port of poundlock.yaml. Connects to nothing yet.
  static Result<Api> open(const Context& context);

  // Asks without a token, and with it where the server wants one of readers, too (--require-token).
  Result<boost::json::object> get(const std::string& path);
  // These change something: they send the admin token (--token-file, else POUNDLOCK_TOKEN, else
  // STATE/admin-token) and fail with "auth.token" where there is none.
  Result<boost::json::object> post(const std::string& path, const boost::json::object& body);
  Result<boost::json::object> put(const std::string& path, const boost::json::object& body);
  Result<boost::json::object> erase(const std::string& path, const boost::json::object& body);
  // POST that only asks: as get().
  Result<HttpAnswer> ask(const std::string& path, const boost::json::object& body);

  const std::string& url() const { return http_.url(); }

 private:
  Api(HttpClient http, Result<std::string> token) : http_(std::move(http)), token_(std::move(token)) {}
  Result<boost::json::object> change(std::string_view method, const std::string& path,
                                     const boost::json::object& body);
  Result<HttpAnswer> read(std::string_view method, const std::string& path, const std::string& body);
  HttpClient http_;
  Result<std::string> token_;  // why there is none counts only once one is needed
  bool reads_need_token_ = false;
};

// An answer's body as an object, or the error that it tells: its disposition where it names one, else by the
// status. What is no answer of a poundlockd is kReconnect "server.answer".
Result<boost::json::object> read_answer(const HttpAnswer& answer, const std::string& url);

}  // namespace poundlock::cli
