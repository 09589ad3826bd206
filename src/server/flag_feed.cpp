#include "server/flag_feed.h"

#include <fmt/format.h>

namespace poundlock::server {

std::vector<FlagChange> changed_flags(const FlagView& before, const FlagView& now) {
  std::vector<FlagChange> out;
  for (const flag::CompiledFlag* flag : now.snapshot->flags()) {
    const flag::CompiledFlag* old = before.snapshot->find(flag->key);
    if (!old) {
      out.push_back({flag->key, "write"});
    } else if (old->source != flag->source || old->metadata != flag->metadata) {
      out.push_back({flag->key, "update"});
    }
  }
  for (const flag::CompiledFlag* flag : before.snapshot->flags())
    if (!now.snapshot->find(flag->key)) out.push_back({flag->key, "delete"});
  return out;
}

Result<Selector> Selector::parse(std::string_view text) {
  if (text.empty()) return Selector{};
  const auto equals = text.find('=');
  if (equals == std::string_view::npos) return Selector{By::kSource, std::string(text)};
  const std::string_view name = text.substr(0, equals), value = text.substr(equals + 1);
  const bool one_pair = !value.empty() && value.find_first_of("=,;&") == std::string_view::npos;
  if (one_pair && name == "flagSetId") return Selector{By::kFlagSet, std::string(value)};
  if (one_pair && name == "source") return Selector{By::kSource, std::string(value)};
  return fail(user_error("flag.selector", fmt::format("the selector {} is not understood", text))
                  .with_hint("one pair: flagSetId=NAME or source=NAME"));
}

}  // namespace poundlock::server
