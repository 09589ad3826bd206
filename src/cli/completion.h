// Completion scripts for shells, made from the verbs and options that the parser knows, so that they cannot
// fall behind it. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poundlock::cli {

struct VerbInfo {
  std::string name;  // "flag set": words of a verb are separated by one space
  std::string description;
  std::vector<std::string> options;  // "--wait"
  bool takes_file = false;           // its argument is a file; others complete to nothing
};

// `shell`: bash, zsh or fish; otherwise a user error "completion.shell".
Result<std::string> completion_script(std::string_view shell, const std::vector<VerbInfo>& verbs,
                                      const std::vector<std::string>& global_options);

}  // namespace poundlock::cli
