// Completion scripts for shells, made from the verbs and options that the parser knows, so that they cannot
// fall behind it. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poundlock::cli {

// An option of one name takes the same in every verb.
struct OptionInfo {
  std::string name;  // "--wait"
  bool takes_value = false;
  bool takes_file = false;          // its value is a file
  std::vector<std::string> values;  // or one of these
};

struct VerbInfo {
  std::string name;  // "flag set": words of a verb are separated by one space
  std::string description;
  std::vector<OptionInfo> options;
  bool takes_file = false;         // its argument is a file; others complete to nothing
  std::vector<std::string> words;  // or it is one of these
};

// `shell`: bash, zsh or fish; otherwise a user error "completion.shell".
Result<std::string> completion_script(std::string_view shell, const std::vector<VerbInfo>& verbs,
                                      const std::vector<OptionInfo>& global_options);

}  // namespace poundlock::cli
