// Asks the gates' questions of the database and its replicas, each at its own cadence, and turns the answers
// into observations with their time. What could not be asked stays out and ages: it is never made up.
//
// Beside the questions' own observations:
//   collector.errors              questions that failed when last asked; the detail names them
//   collector.replicas            how many replicas are declared
//   collector.pg_stat_statements  1 where the extension answers, 0 where it does not; the detail says why
//   collector.statements_evicted  how often that extension has thrown statements out (PostgreSQL 14 and
//   later)
// A question that names `sliding` adds X_median for each of its values X.
//
// Every wait is bounded: connecting by the port, a statement by 2 s, retries by 1 s. One thread at a time.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "ports/database.h"
#include "rollout/gate.h"

namespace poundlock::engine {

class Collector {
 public:
  // Databases and plan outlive the collector.
  Collector(ports::Databases databases, const rollout::Plan& plan);

  // Asks what is due of the questions that belong to `moments`, and adds every known answer to `into`.
  void collect(rollout::Observations& into, rollout::Moments moments, TimePoint now);

 private:
  using Answers = std::map<std::string, rollout::Observation>;  // names without prefix

  struct Server {
    ports::Database* database = nullptr;
    std::string source;  // "primary", "replica 1"
    std::unique_ptr<ports::Session> session;
    TimePoint retry_at;
    std::string trouble;
  };

  struct Asked {
    rollout::Question question;
    rollout::Moments moments = 0;
    TimePoint due;
    std::vector<Answers> answers;  // one for each server that is asked
    std::map<std::string, std::deque<std::pair<TimePoint, double>>> samples;  // for the median
    std::string trouble;
  };

  ports::Session* session(Server& server, TimePoint now);
  void find_statements_view(TimePoint now);
  void ask(Asked& asked, TimePoint now);
  Result<Answers> ask_one(const Asked& asked, Server& server, TimePoint now);
  void tell(const Asked& asked, rollout::Observations& into) const;
  Answers combined(const Asked& asked) const;

  const rollout::Plan& plan_;
  Server primary_;
  std::vector<Server> replicas_;
  std::vector<Asked> asked_;
  std::string statements_view_;  // quoted; empty: not there
  std::string statements_info_;  // quoted; empty: not there
  std::string statements_trouble_;
  TimePoint statements_due_;
  rollout::Observation evicted_;
};

}  // namespace poundlock::engine
