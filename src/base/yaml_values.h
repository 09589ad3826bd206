// Values of a YAML file as Poundlock's own files write them: durations, percentages, bounded text and lists.
// Pure and thread-safe; every error is kUser and has a place in the file. Error codes: spec.empty,
// spec.too_many, spec.duration, spec.range and those of yaml.h.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/time.h"
#include "base/yaml.h"

namespace poundlock::yaml {

// A mapping whose keys are all among `keys`; the misspelt key is reported before the one that it was to
// be is missed.
Result<Fields> mapping(const Node& node, std::string what, std::initializer_list<std::string_view> keys);

// A list of `min` to `max` items. `example` is one item as it is written.
Status check_list(const Node& node, std::string_view what, std::size_t min, std::size_t max,
                  std::string_view example);

Result<Millis> duration(const Node& node, std::string_view what, Millis min, Millis max);

// From `min` to 100, in hundredths: the flag's hash tells no smaller share apart.
Result<double> percentage(const Node& node, std::string_view what, double min);

// Text that is not empty and has at most `max` bytes.
Result<std::string> text(const Node& node, std::string_view what, std::size_t max);

}  // namespace poundlock::yaml
