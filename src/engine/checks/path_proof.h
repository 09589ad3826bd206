// The proof of prove_paths(), in two files: what the statements answer and leave (paths.cpp), and how they
// are planned (path_proof_plans.cpp). Used by one thread.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/checks/path_answers.h"
#include "engine/checks/path_plans.h"
#include "engine/checks/path_shape.h"
#include "engine/checks/paths.h"

namespace poundlock::engine {

struct ProvedPath {
  const rollout::PathSpec* spec = nullptr;
  PathShape legacy, fresh;
};

class PathProof {
 public:
  PathProof(const CheckContext& context, const PathOptions& options, ShadowUse& shadow)
      : context_(context), options_(options), shadow_(shadow) {}

  Result<PathsReport> run();

 private:
  Status open();
  Status analyze();
  void fault(const ProvedPath& path, std::string side, std::string kind, bool error, std::string message,
             std::string fix = {});
  PathWorks& works(const ProvedPath& path, Side side);
  bool runnable(const ProvedPath& path) const;
  static const std::string& sql(const ProvedPath& path, Side side) {
    return side == Side::kLegacy ? path.spec->legacy : path.spec->fresh;
  }
  std::string kept_name(const ProvedPath& path, Side side) const {
    return fmt::format("poundlock_{}_{}", to_string(side), &path - paths_.data());
  }
  template <typename Work>
  auto in_application(Work work) -> decltype(work());
  Status try_all(Side side, std::optional<bool> PathWorks::*when, bool needed, const char* at);
  Status try_one(const ProvedPath& path, Side side, std::optional<bool> PathWorks::*when, bool needed,
                 const char* at);
  Status keep_prepared(Side side);
  Status try_kept(Side side, const char* after);
  Status after_the_contract();
  Result<bool> contract_here();
  void shapes();
  Result<SampledPath> samples(const ProvedPath& path, int rows);
  Status compare_reads();
  Result<PathAnswer> ask(const std::string& sql, const std::vector<ports::Cell>& params);
  Result<RowsVerdict> judge_answers(const ProvedPath& path, const std::vector<ports::Cell>& params,
                                    const PathAnswer& legacy, const PathAnswer& fresh);
  Status compare_read(const ProvedPath& path);
  Status compare_writes();
  Status compare_write(const ProvedPath& path);
  Status plan_all();
  Result<ports::StatisticsCopied> think_large();
  Status in_savepoint(const std::function<Status()>& work);
  Status plan_path(const ProvedPath& path, const std::vector<std::vector<ports::Cell>>& samples);
  Status judge_estimates(const ProvedPath& path, const std::vector<std::vector<ports::Cell>>& samples);
  Status plan_generic(const ProvedPath& path, const std::vector<ports::Cell>& params);
  void judge_plans(const ProvedPath& path, const PlanFacts& legacy, const PlanFacts& fresh);
  void judge_indexes(const ProvedPath& path, const PlanFacts& legacy, const PlanFacts& fresh);
  double real_rows(const std::string& table) const;

  const CheckContext& context_;
  const PathOptions& options_;
  ShadowUse& shadow_;
  std::unique_ptr<ports::Session> session_;
  std::string search_path_;
  std::vector<ProvedPath> paths_;
  std::map<std::string, double> rows_;  // of the shadow's tables
  bool new_columns_ = false;            // the expand adds some, of which the source has no statistics
  bool uneven_ = false;  // plans of legacy go by the source's statistics, of new by the sample's
  PathsReport report_;
};

// Work in a transaction as the application's sessions name their tables, rolled back afterwards.
template <typename Work>
auto PathProof::in_application(Work work) -> decltype(work()) {
  PL_CHECK(session_->run("BEGIN"));
  PL_CHECK(session_->run("SET LOCAL search_path = " + search_path_));
  PL_CHECK(
      session_->run(fmt::format("SET LOCAL statement_timeout = '{}ms'", options_.statement_limit.count())));
  auto done = work();
  PL_CHECK(session_->run("ROLLBACK"));
  return done;
}

}  // namespace poundlock::engine
