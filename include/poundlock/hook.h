// The application's code around evaluations (OpenFeature specification, section 4): logging, tracing, more
// context. `before` runs in the order of registration, hooks of the client ahead of those of the call; the
// other stages in the opposite order. Hooks run on the thread that evaluates, and no lock is held meanwhile.
//
// A hook that throws breaks nothing: the evaluation answers as it would have, and the `error` stage is told.
// Evaluations that a hook makes run without hooks.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "poundlock/context.h"
#include "poundlock/details.h"

namespace poundlock {

struct HookContext {  // valid during the call
  std::string_view flag_key;
  FlagType type;
  const FlagValue& default_value;
  const Context& context;  // the client's, the call's, and what earlier `before` stages added
};

// Stages that are not set are skipped.
struct Hook {
  // What it answers is laid over the context of this evaluation.
  std::function<std::optional<Context>(const HookContext&)> before;
  // After an evaluation without error.
  std::function<void(const HookContext&, const Details&, const FlagValue&)> after;
  // After an evaluation with an error code, and where a `before` or `after` threw.
  std::function<void(const HookContext&, std::string_view message)> error;
  // Always, last.
  std::function<void(const HookContext&, const Details&, const FlagValue&)> finally;
};

// For one call.
struct EvaluationOptions {
  std::vector<Hook> hooks;
};

}  // namespace poundlock
