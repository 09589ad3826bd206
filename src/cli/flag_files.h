// Flag definition files that a person named on the command line: files, and of a folder its *.json, *.yaml
// and *.yml by name, hidden ones left out, as poundlockd reads them.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/context.h"
#include "flag/definition.h"

namespace poundlock::cli {

struct FlagText {
  std::string file;
  std::string text;
};
// Errors (kUser): file.read; a file is at most 4 MiB, a folder holds at most 1,000.
Result<std::vector<FlagText>> read_flag_files(const Context& context, const std::vector<std::string>& names);

// All of them in one snapshot, a later definition of a key in place of an earlier one. Flags whose rule is at
// fault are among them and answer with an error; any other fault fails.
Result<std::shared_ptr<const flag::Snapshot>> load_flags(const Context& context,
                                                         const std::vector<std::string>& names);

}  // namespace poundlock::cli
