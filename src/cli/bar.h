// A bar for a share of a whole, and the words beside it. Pure; thread-safe.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"

namespace poundlock::cli {

// `cells` wide, in eighths of a cell with UTF-8, otherwise [####....]. A share that is not finite is 0;
// less than everything never looks full.
std::string bar(double share, int cells, bool utf8);

std::string format_count(double value);    // "1,234,567"
std::string format_percent(double share);  // 0.255 -> "25.5 %"
std::string format_number(double value);   // a gate's value: at most four significant digits

// How long the rest takes at this rate; nullopt where it cannot be said.
std::optional<Millis> remaining(double done, double total, double per_second);
std::string format_remaining(Millis left);  // "2h05m", "1m40s", "12s": two units at most

}  // namespace poundlock::cli
