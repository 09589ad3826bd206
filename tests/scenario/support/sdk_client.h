// A program of tests/clients: somebody else's OpenFeature client, driven line by line (its README has the
// protocol). One thread.
#pragma once

#include <sys/types.h>

#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace poundlock::scenario {

// Installs a language's clients under the build folder. Not an error of ours where the toolchain or its
// registry is missing: then it is what to say about it, else "".
std::string missing_client(const std::string& language);

class SdkClient {
 public:
  // Returns when the provider is ready. `mode`: in-process, rpc, ofrep.
  static Result<std::unique_ptr<SdkClient>> start(const std::string& language, const std::string& mode,
                                                  std::uint16_t port);
  ~SdkClient();
  SdkClient(const SdkClient&) = delete;
  SdkClient& operator=(const SdkClient&) = delete;

  Result<boost::json::object> ask(const boost::json::object& request, Millis limit);

 private:
  SdkClient() = default;
  Result<std::string> read_line(Millis limit);

  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  std::string buffered_;
};

}  // namespace poundlock::scenario
