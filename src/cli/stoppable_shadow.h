// A shadow whose statements end when they are told to: Ctrl-C does not wait for an index build. The statement
// that runs is cancelled, and where the shadow is thrown away no other one begins; one that is kept still has
// to be taken back. A thread of its own watches; otherwise as the shadow that it wraps.
#pragma once

#include <functional>
#include <memory>

#include "ports/shadow.h"

namespace poundlock::cli {

// `stopped` is asked every 50 ms from another thread. Errors after it: kRetry "check.stopped".
std::unique_ptr<ports::Shadow> make_stoppable(std::unique_ptr<ports::Shadow> shadow,
                                              std::function<bool()> stopped);

// `stays`: what was done is still in the shadow, which was to be worked on itself or could not be copied.
Error stopped_error(bool stays = false, bool in_place = false);

}  // namespace poundlock::cli
