#include "engine/traffic_trial.h"

#include <utility>

namespace poundlock::engine {
namespace {

Result<std::unique_ptr<ports::Session>> open(ports::Database& database, const std::string& search_path) {
  PL_TRY(auto session, database.connect());
  PL_CHECK(session->run("SET statement_timeout = '10s'"));
  PL_CHECK(session->run("SET search_path = " + search_path));
  return session;
}

// Why the schema or the rights refuse it; nullopt: they do not.
Result<std::optional<Error>> refusal(ports::Session& session, const ports::TrafficStatement& one) {
  auto done =
      session.run(ports::Sql{one.sql, one.samples.empty() ? std::vector<ports::Cell>{} : one.samples[0]});
  if (done) return std::nullopt;
  if (session.broken()) return fail(std::move(done).error());
  if (!ports::is_of_rows(done.error())) return std::move(done).error();
  (void)session.run("ROLLBACK");  // of a transaction that is played
  return std::nullopt;
}

}  // namespace

std::string TrafficFailure::to_string() const {
  return name + ": " + error.to_string();
}

Result<std::optional<TrafficFailure>> try_traffic(ports::Database& database,
                                                  std::span<const ports::TrafficStatement> statements,
                                                  const std::string& search_path) {
  if (statements.empty()) return std::nullopt;
  PL_TRY(const auto session, open(database, search_path));
  for (const auto& one : statements) {
    PL_TRY(auto refused, refusal(*session, one));
    if (refused) return TrafficFailure{one.name, std::move(*refused)};
  }
  return std::nullopt;
}

Result<TrafficTried> try_each(ports::Database& database, std::vector<ports::TrafficStatement> statements,
                              const std::string& search_path) {
  TrafficTried out;
  if (statements.empty()) return out;
  PL_TRY(const auto session, open(database, search_path));
  for (auto& one : statements) {
    PL_TRY(auto refused, refusal(*session, one));
    if (refused) {
      out.fails.push_back({one.name, std::move(*refused)});
      PL_CHECK(session->run("ROLLBACK"));
    } else {
      out.works.push_back(std::move(one));
    }
  }
  return out;
}

}  // namespace poundlock::engine
