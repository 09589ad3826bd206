// Which variant a rule's result names. Pure; allocates nothing.
#pragma once

#include "flag/snapshot.h"

namespace poundlock::flag {

// flagd's evaluator in Go writes the result as JSON, takes the quotes away, and looks that up: true names
// "true", [1] names "[1]", and a quote within a text becomes a backslash. A text that names nothing in that
// form is looked up as it is, as evaluators in other languages do. Null where there is no such variant.
const Variant* variant_for(const CompiledFlag& flag, const Value& result);

}  // namespace poundlock::flag
