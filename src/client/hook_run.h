// The hooks around one evaluation: poundlock/hook.h says what they are. Made only where there are any.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/view.h"
#include "poundlock/hook.h"

namespace poundlock::client {

class HookRun {
 public:
  // `context` is the call's, laid over the client's. What is referred to has to outlive the run.
  HookRun(const Hooks* of_client, const std::vector<Hook>& of_call, std::string_view key, FlagType type,
          const FlagValue& fallback, Context context);
  ~HookRun();
  HookRun(const HookRun&) = delete;

  // A hook that evaluates would call itself without end.
  static bool running_in_this_thread();

  const Context& before();  // whom to evaluate for
  void after(const Details& details, const FlagValue& value);

 private:
  template <typename Stage, typename... Arguments>
  void each_backwards(Stage Hook::*stage, const char* name, const Arguments&... arguments);
  HookContext seen() const { return {key_, type_, fallback_, context_}; }
  void note_thrown(const char* stage, const char* what);

  std::vector<const Hook*> hooks_;  // in the order of `before`
  const std::string_view key_;
  const FlagType type_;
  const FlagValue& fallback_;
  Context context_;
  std::string thrown_;  // what the first hook that threw said
};

}  // namespace poundlock::client
