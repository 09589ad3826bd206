// The table of operations, and how one is chosen by its key in the rollout file.
#include "change/operation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/suggest.h"

namespace poundlock::change {

const char* to_string(Profile profile) {
  switch (profile) {
    case Profile::kAdditive: return "additive";
    case Profile::kQuick: return "quick";
    case Profile::kFull: return "full";
  }
  return "full";
}

Result<std::unique_ptr<Operation>> parse_operation(const yaml::Node& entry) {
  std::vector<std::string> known;
  for (const OperationKind* kind : all_operations()) known.emplace_back(kind->name);
  if (entry.kind != yaml::Kind::kMapping || entry.entries.size() != 1) {
    return fail(entry.error("change.operation", "expected one operation with its settings below it")
                    .with_hint(fmt::format("write `- NAME:` with one of: {}", fmt::join(known, ", "))));
  }
  const auto& [key, settings] = entry.entries.front();
  for (const OperationKind* kind : all_operations()) {
    if (kind->name == key.scalar) return kind->parse(settings);
  }
  const std::string_view near = nearest(key.scalar, std::span<const std::string>(known));
  std::string hint = near.empty() ? fmt::format("known are: {}", fmt::join(known, ", "))
                                  : fmt::format("did you mean '{}'?", near);
  return fail(key.error("change.unknown_operation", fmt::format("no operation is called '{}'", key.scalar))
                  .with_hint(std::move(hint)));
}

}  // namespace poundlock::change
