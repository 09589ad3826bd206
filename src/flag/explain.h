// Why a flag answers what it answers, for people: which conditions were looked at with which values, and
// into which bucket a split put somebody. Evaluates the rule's parts anew, so ordinary evaluation pays
// nothing for it. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flag/snapshot.h"

namespace poundlock::flag {

inline constexpr std::size_t kExplanationLinesMax = 200;

struct Explanation {
  Resolution resolution;           // as Snapshot::evaluate answers it
  std::vector<std::string> lines;  // indented by two blanks a level; at most kExplanationLinesMax
};

Explanation explain(const Snapshot& snapshot, std::string_view key, const Attributes& attributes,
                    std::int64_t now_s);

// The condition of one of a flag's branches, as it is written, or "else": names what Resolution::branch
// counts. Cut after some 160 bytes; "" where there is no such branch.
std::string branch_condition(const CompiledFlag& flag, int branch);

}  // namespace poundlock::flag
