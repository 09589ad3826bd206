// The real terminal and environment of this process. Used by main() and by views that redraw.
#pragma once

#include "cli/context.h"

namespace poundlock::cli {

// Fills terminal, width, height, utf8 and colour. Colour needs a terminal, TERM other than "dumb" and no
// NO_COLOR (https://no-color.org).
void look_at_terminal(Context& context);
// Width and height again: the window may have been resized.
void measure_terminal(Context& context);

}  // namespace poundlock::cli
