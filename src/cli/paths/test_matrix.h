// `poundlock paths test`: the team's own test suite, once for each state of flag and schema that the rollout
// passes through.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cli/context.h"
#include "cli/workbench.h"

namespace poundlock::cli {

struct MatrixArguments {
  std::string file;
  std::vector<std::string> command;
  WorkbenchArguments workbench;  // with a shadow its schema is brought to where each state finds it
  std::vector<std::string> states;
  std::vector<std::string> database_variables;
  Millis limit{10 * 60'000};
};

// Answers the exit code: 1 where the suite failed in some state.
Result<int> test_matrix(Context& context, const MatrixArguments& arguments);

}  // namespace poundlock::cli
