// The checks of the prepare phase. Each reads or works on a shadow only, and answers figures that gates
// judge (`check.figure`). A check that cannot be made answers no figures and says why: the gate then
// holds until a person configures what is missing or waives the gate by name.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/executor.h"

namespace poundlock::engine {

struct CheckResult {
  std::map<std::string, double> figures;
  std::string detail;
};

struct CheckContext {
  const ExecutorPorts& ports;
  const rollout::Plan& plan;
};

Result<CheckResult> check_parity(const CheckContext& context);   // parity.differences
Result<CheckResult> check_lint(const CheckContext& context);     // lint.findings
Result<CheckResult> check_paths(const CheckContext& context);    // paths.failures, paths.compared
Result<CheckResult> check_dry_run(const CheckContext& context);  // dry_run.blocking_seconds, .contention, ...
Result<CheckResult> check_rehearsal(const CheckContext& context);  // rehearsal.failures, .wal_ratio

// A fresh shadow for one check, dropped when it goes out of scope. One that is kept is left as it was found:
// see on_shadow().
class ShadowUse {
 public:
  static Result<ShadowUse> create(const CheckContext& context);
  ShadowUse(ShadowUse&&) noexcept;
  ~ShadowUse();
  ports::Database& database() { return *database_; }
  const ports::ShadowInfo& info() const { return info_; }
  // Takes it away: the error says what stays. The destructor does the same, and nobody hears of it.
  Status end();

 private:
  ShadowUse(ports::Shadow& shadow, ports::ShadowInfo info);
  ports::Shadow* shadow_;
  ports::ShadowInfo info_;
  std::unique_ptr<ports::Database> database_;
};

// The plan's steps that change the schema forward, in order: dual_write, open_sync, contract.
std::vector<const change::Step*> forward_steps(const rollout::Plan& plan, change::Phase phase);
std::vector<schema::QualifiedName> tables_of(const rollout::Plan& plan);

// Steps on a shadow, by the same runner as in production; errors name the step.
Status perform_on_shadow(const CheckContext& context, ports::Database& shadow, const change::Step& step,
                         Direction direction);
Status forward_on_shadow(const CheckContext& context, ports::Database& shadow, change::Phase phase);
// close_sync, then every undo; also of a check that was stopped.
Status back_on_shadow(const CheckContext& check, ports::Database& shadow);

// A check on a shadow of its own. Where that is kept, the change is taken back at the end, also of a check
// that failed half-way, so that the next one finds the schema without it; such a check must not contract.
Result<CheckResult> on_shadow(const CheckContext& context,
                              const std::function<Result<CheckResult>(ShadowUse& shadow)>& check);

// The search_path under which the application's statements name their tables, as SQL: as the database and the
// role of `session` have it set; the change's schemas come last. Our own sessions have pg_catalog only.
Result<std::string> application_search_path(ports::Session& session, const rollout::Plan& plan);

// One statement of the application, in a transaction that may only read and is rolled back.
Result<ports::Rows> read_only(ports::Session& session, const std::string& sql,
                              const std::vector<ports::Cell>& params, const std::string& search_path);

// A path's statements with rows of parameters sampled from the shadow. `problem` is not empty where no
// parameters can be found.
struct SampledPath {
  std::string name, legacy, fresh, problem;
  std::vector<std::vector<ports::Cell>> samples;
  // Of an INSERT whose samples are rows that are there: the ctid of each, in the change's first table.
  std::vector<std::string> taken_from;
};
Result<SampledPath> sample_path(ports::Session& session, const rollout::Plan& plan,
                                const rollout::PathSpec& path, int rows, const std::string& search_path);
// All of them, for traffic: an INSERT without a `sample` of its own has a problem.
Result<std::vector<SampledPath>> sample_paths(ports::Session& session, const rollout::Plan& plan, int rows,
                                              const std::string& search_path);

}  // namespace poundlock::engine
