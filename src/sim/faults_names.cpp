#include <fmt/format.h>

#include "sim/simulation.h"

namespace poundlock::sim {

Result<Faults> faults_from(std::string_view text) {
  Faults out;
  if (text == "all") return Faults::all();
  if (text == "none" || text.empty()) return out;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    bool* which = name == "crashes"       ? &out.crashes
                  : name == "database"    ? &out.database
                  : name == "store"       ? &out.store
                  : name == "application" ? &out.application
                  : name == "operators"   ? &out.operators
                  : name == "clock"       ? &out.clock
                                          : nullptr;
    if (!which) {
      return fail(
          user_error("sim.faults", fmt::format("there are no faults '{}'", name))
              .with_hint("all, none, or some of crashes, database, store, application, operators, clock"));
    }
    *which = true;
  }
  return out;
}

}  // namespace poundlock::sim
