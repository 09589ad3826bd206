#include "cli/near_name.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "base/suggest.h"
#include "cli/fields.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

// Where the server cannot say there is nothing near: the first error is the one that counts.
void add_names(Api& api, const char* path, const char* list, const char* field,
               std::vector<std::string>& to) {
  const auto answer = api.get(path);
  if (!answer) return;
  for (const auto& one : list_at(*answer, list)) to.push_back(text_at(element(one), field));
}

std::string hint_of(std::string_view typed, const std::vector<std::string>& known) {
  const auto near = nearest(typed, std::span<const std::string>(known));
  return near.empty() ? "" : fmt::format("did you mean {}?", clean(near));
}

}  // namespace

Error with_near_flag(Api& api, Error error, std::string_view typed) {
  if (error.code != "flag.unknown" && error.code != "flag.FLAG_NOT_FOUND") return error;
  std::vector<std::string> known;
  add_names(api, "/v1/flags", "flags", "key", known);
  if (auto hint = hint_of(typed, known); !hint.empty()) error.hint = std::move(hint);
  return error;
}

Error no_flag_or_rollout(Api& api, std::string_view typed) {
  std::vector<std::string> known;
  add_names(api, "/v1/flags", "flags", "key", known);
  add_names(api, "/v1/rollouts", "rollouts", "name", known);
  auto hint = hint_of(typed, known);
  if (hint.empty()) hint = "`poundlock flag list` shows the flags, `poundlock status` the rollouts";
  return user_error("kill.unknown", fmt::format("there is no flag and no rollout {}", clean(typed)))
      .with_hint(std::move(hint));
}

}  // namespace poundlock::cli
