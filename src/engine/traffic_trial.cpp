#include "engine/traffic_trial.h"

#include "ports/database.h"

namespace poundlock::engine {

std::string TrafficFailure::to_string() const {
  return name + ": " + error.to_string();
}

Result<std::optional<TrafficFailure>> try_traffic(ports::Database& database,
                                                  std::span<const ports::TrafficStatement> statements,
                                                  const std::string& search_path) {
  if (statements.empty()) return std::nullopt;
  PL_TRY(auto session, database.connect());
  PL_CHECK(session->run("SET statement_timeout = '10s'"));
  PL_CHECK(session->run("SET search_path = " + search_path));
  for (const auto& one : statements) {
    auto done =
        session->run(ports::Sql{one.sql, one.samples.empty() ? std::vector<ports::Cell>{} : one.samples[0]});
    if (done) continue;
    if (session->broken()) return fail(std::move(done).error());
    if (!ports::is_of_rows(done.error())) return TrafficFailure{one.name, std::move(done).error()};
    (void)session->run("ROLLBACK");  // of a transaction that is played
  }
  return std::nullopt;
}

}  // namespace poundlock::engine
