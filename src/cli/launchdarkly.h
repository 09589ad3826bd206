// LaunchDarkly's JSON to flagd's definitions, for the shapes that are known: the flags of its REST API
// ({"items": [...]} with `environments`) and the data of its SDKs ({"flags": {KEY: {...}}}). Variations
// become variants named v0, v1, ... (on and off for booleans), rules an if-chain, percentage rollouts
// fractional. A flag that is off gives everybody its off variation, and keeps its targeting behind a
// condition that never holds. The buckets are not LaunchDarkly's: a percentage keeps its size, and not its
// people. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poundlock::cli {

struct Imported {
  boost::json::object flags;
  std::vector<std::string> notes;     // what was translated, and should be known
  std::vector<std::string> left_out;  // each names a flag and what in it cannot be said
};

// `environment` chooses one where a flag has several; "": its only one, else production. Errors (kUser):
// json.*, flag.import where it is no such file, flag.environment where no flag has that environment.
Result<Imported> import_launchdarkly(std::string_view text, const std::string& file,
                                     const std::string& environment);

}  // namespace poundlock::cli
