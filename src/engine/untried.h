// Statements of rows that had no row to work on: on a sample that shows nothing of what they do.
#pragma once

#include <string>

#include "engine/trace.h"
#include "ports/shadow.h"

namespace poundlock::engine {

// Why a statement that went well was not tried; "": it was. An UPDATE, DELETE, MERGE or INSERT of a query
// that touched no row, although one of the tables that it locks has more rows than the shadow holds of it.
std::string why_untried(const Trace& trace, const ports::ShadowInfo& shadow);

}  // namespace poundlock::engine
