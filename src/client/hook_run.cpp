#include "client/hook_run.h"

#include <exception>
#include <utility>

#include "client/context_attributes.h"

namespace poundlock::client {

namespace {

thread_local bool running = false;

// `what` is told what was thrown; the application's code may throw anything.
template <typename Call, typename Told>
void guarded(Call&& call, Told&& told) {
  try {
    call();
  } catch (const std::exception& error) {
    told(error.what());
  } catch (...) {
    told("something that is no std::exception");
  }
}

}  // namespace

HookRun::HookRun(const Hooks* of_client, const std::vector<Hook>& of_call, std::string_view key,
                 FlagType type, const FlagValue& fallback, Context context)
    : key_(key), type_(type), fallback_(fallback), context_(std::move(context)) {
  if (of_client != nullptr) {
    for (const auto& hook : *of_client) hooks_.push_back(hook.get());
  }
  for (const Hook& hook : of_call) hooks_.push_back(&hook);
  running = true;
}

HookRun::~HookRun() {
  running = false;
}

bool HookRun::running_in_this_thread() {
  return running;
}

void HookRun::note_thrown(const char* stage, const char* what) {
  if (thrown_.empty()) thrown_ = std::string("the hook's ") + stage + " stage threw: " + what;
}

const Context& HookRun::before() {
  for (const Hook* hook : hooks_) {
    if (!hook->before) continue;
    guarded(
        [&] {
          if (const std::optional<Context> more = hook->before(seen())) context_ = merged(*more, context_);
        },
        [&](const char* what) { note_thrown("before", what); });
  }
  return context_;
}

template <typename Stage, typename... Arguments>
void HookRun::each_backwards(Stage Hook::*stage, const char* name, const Arguments&... arguments) {
  for (auto hook = hooks_.rbegin(); hook != hooks_.rend(); ++hook) {
    if (!((*hook)->*stage)) continue;
    guarded([&] { ((*hook)->*stage)(seen(), arguments...); },
            [&](const char* what) { note_thrown(name, what); });
  }
}

void HookRun::after(const Details& details, const FlagValue& value) {
  if (details.error_code.empty()) each_backwards(&Hook::after, "after", details, value);
  if (!details.error_code.empty()) {
    const std::string message = details.error_code + ": " + details.error_message;
    each_backwards(&Hook::error, "error", std::string_view(message));
  } else if (!thrown_.empty()) {
    const std::string message = thrown_;
    each_backwards(&Hook::error, "error", std::string_view(message));
  }
  each_backwards(&Hook::finally, "finally", details, value);
}

}  // namespace poundlock::client
