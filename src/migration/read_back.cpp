#include "migration/read_back.h"

#include <fmt/format.h>

#include "rollout/plan.h"
#include "rollout/spec.h"

namespace poundlock::migration {
namespace {

constexpr std::string_view kRollout = "a rollout of change_column";

Status readable(const std::string& text, const schema::Catalog& catalog) {
  PL_TRY(const auto spec, rollout::parse_rollout(text, "rollout"));
  PL_TRY(const auto plan, rollout::make_plan(spec, catalog));
  return {};
}

bool has_blank(const std::string& text) {
  return text.find("OLD_COLUMN") != text.npos || text.find("OLD_TYPE") != text.npos;
}

void take_back(Decision& decision, const Error& error) {
  decision.rollout.clear();
  decision.why += fmt::format(". No rollout of change_column does it as it stands: {}", error.message);
  std::erase_if(decision.choices, [](const std::string& one) { return one.starts_with(kRollout); });
  if (!error.hint.empty()) decision.choices.insert(decision.choices.begin(), error.hint);
}

}  // namespace

void read_back(std::vector<Decision>& decisions, const schema::Catalog& catalog) {
  std::size_t read = 0;
  for (Decision& decision : decisions) {
    // The database is there, and does not tell it.
    if (decision.choices.size() > 1)
      std::erase_if(decision.choices,
                    [](const std::string& one) { return one.starts_with("give --database-url"); });
    if (decision.rollout.empty() || has_blank(decision.rollout)) continue;
    if (++read > kReadBackMax) {
      decision.rollout.clear();
      continue;
    }
    if (const auto read_well = readable(decision.rollout, catalog); !read_well)
      take_back(decision, read_well.error());
  }
}

}  // namespace poundlock::migration
