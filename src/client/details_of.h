// One typed evaluation with its hooks, as Client and Router make it.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "client/answer.h"
#include "client/core.h"
#include "client/hook_run.h"

namespace poundlock::client {

template <typename T>
using Read = std::optional<T> (*)(const Evaluated&);  // of answer.h

template <typename T>
ValueDetails<T> details_of(Core& core, FlagType type, Read<T> read, std::string_view key, T fallback,
                           const Context& context, const EvaluationOptions& options = {}) {
  const auto answer = [&](const Context& whom) {
    const Evaluated result = core.evaluate(key, whom);
    std::optional<T> value = read(result);
    return ValueDetails<T>{describe(result, value.has_value()), value ? std::move(*value) : fallback};
  };
  const bool any = core.has_hooks() || !options.hooks.empty();
  if (!any || HookRun::running_in_this_thread()) return answer(context);
  // Kept over the run: a hook that evaluates may let this thread's view go.
  const std::shared_ptr<const Hooks> hooks = core.view().hooks;
  const FlagValue shown = fallback;
  HookRun run(hooks.get(), options.hooks, key, type, shown, core.whole(context));
  ValueDetails<T> details = answer(run.before());
  run.after(details, details.value);
  return details;
}

}  // namespace poundlock::client
