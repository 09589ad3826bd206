// Traffic tried once, statement by statement, where nothing else happens: what fails there would fail in
// every round as well, and stalls that are measured beside it would be nobody's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/database.h"
#include "ports/traffic.h"

namespace poundlock::engine {

struct TrafficFailure {
  std::string name;  // the statement's: FILE:LINE of a script
  Error error;
  std::string to_string() const;
};

// The first statement of a kind that the schema or the rights refuse, in order; nullopt: none. What rows
// answer (ports::is_of_rows) is no failure here. Each takes 10 s at most. One session, closed at the end;
// nothing is rolled back but what failed. Errors are those of connecting and of a connection that breaks.
Result<std::optional<TrafficFailure>> try_traffic(ports::Database& database,
                                                  std::span<const ports::TrafficStatement> statements,
                                                  const std::string& search_path);

// All of them, each by itself: what is of another schema or beyond the role's rights is no reason not to play
// the rest. In their order.
struct TrafficTried {
  std::vector<ports::TrafficStatement> works;
  std::vector<TrafficFailure> fails;
};
Result<TrafficTried> try_each(ports::Database& database, std::vector<ports::TrafficStatement> statements,
                              const std::string& search_path);

}  // namespace poundlock::engine
