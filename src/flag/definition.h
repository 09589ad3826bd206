// Flag definition files as people and flagd write them, read into flags that need nothing else: every $ref
// replaced, the flag set's metadata merged under each flag's own. Three forms, of which a file may mix the
// first or second with the third:
//   JSON or YAML {flags, $evaluators?, metadata?}: flagd's (flagd.dev/reference/flag-definitions); `flags`
//     is a mapping, or a list of flags with a `key`;
//   feature_flags: of a rollout file, whose other keys are ignored, or of a flags.yaml of its own.
// Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "flag/snapshot.h"

namespace poundlock::flag {

struct Definition {
  json::Object flags;     // key -> flag, as Snapshot::compile takes it; without those that are beyond repair
  json::Object metadata;  // the flag set's
  // What a publisher must refuse, each with file, line and column; at most kProblemsMax.
  std::vector<Error> problems;
  // "file:line:column: ...": what evaluators in other languages answer differently, or what has no effect.
  std::vector<std::string> warnings;

  // Nothing but rules is at fault (flag.targeting): such flags are among `flags` and answer PARSE_ERROR or
  // GENERAL, as they do in flagd, and the others are right.
  bool only_rules_at_fault() const;
};

inline constexpr std::size_t kProblemsMax = 100;

// Fails where there is no list of flags at all: json.*, yaml.*, flag.size, flag.document. Codes of problems:
// flag.document, flag.unknown_key, flag.key, flag.duplicate_key, flag.state, flag.variants, flag.default,
// flag.metadata, flag.targeting, flag.size, and those of flag_spec.h.
Result<Definition> parse_definition(std::string_view text, std::string file, const Limits& limits = {});

}  // namespace poundlock::flag
