// Everything that the demo starts: a private PostgreSQL with a replica, tables, files, poundlockd and the
// application. Torn down with the object. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cli/api.h"
#include "cli/context.h"
#include "cli/demo/process.h"
#include "cli/demo/stall_watch.h"
#include "postgres/private_cluster.h"

namespace poundlock::cli {

struct DemoOptions {
  std::int64_t rows = 200'000;
  double speed = 40'000;  // divides windows and dwell, never a gate's limit or a time-out
  int rate = 1'200;       // statements a second of the application
  int readers = 6;
  int writers = 2;
  bool keep = false;
  bool faults = true;
  bool application = true;  // start orders_app at once
};

struct AppFigures {
  std::uint64_t statements = 0, fallbacks = 0, excluded_reads_new = 0, faults = 0;
  std::uint64_t errors = 0;       // statements that failed, injected faults aside, tried again or not
  std::uint64_t user_errors = 0;  // units of work that failed, also by an injected fault
  std::uint64_t unknown = 0;      // processes whose figures cannot be read: their errors may be any number
  std::uint64_t crashes = 0;      // processes that did not end by our word, with exit code 0
};

class World {
 public:
  static Result<std::unique_ptr<World>> start(Context& context, const DemoOptions& options);
  ~World();

  Result<Api> api() const;
  std::string rollout_file() const { return directory_ + "/rollouts/orders_status_v2.yaml"; }
  std::string url() const { return url_; }
  std::string directory() const { return directory_; }
  std::string journal() const { return directory_ + "/journal"; }
  postgres::PrivateCluster& cluster() { return *cluster_; }
  StallWatch& stalls() { return *stalls_; }
  Process& server() { return server_; }
  // After poundlockd was killed: anew at the same address, with the same store. `secrets` false: whoever
  // starts it forgets what poundlock.yaml takes from the environment.
  Status restart_server(bool secrets = true);

  Status start_app(const std::string& build, bool legacy_path);
  void stop_app();
  // DIR/stop and DIR/environment, for what runs now.
  Status write_stop();
  // Ends what runs and removes the files, kept or not.
  void tear_down();
  Status set_fault(const std::string& fault);             // "none", "slow", "fail": on the new path only
  AppFigures figures() const;                             // of every application process so far
  Result<std::unique_ptr<ports::Session>> owner() const;  // as the table's owner
  Result<bool> column_exists(const std::string& column) const;
  // What poundlock.yaml takes from the environment.
  std::map<std::string, std::string> variables() const;

 private:
  World(Context& context, DemoOptions options) : context_(context), options_(options) {}
  Status start_all();
  Status make_directory();
  Status start_cluster();
  Status make_tables();
  Status write_files();
  Status start_server(const std::string& listen = "", bool secrets = true);
  std::string program(const char* name) const;

  Context& context_;
  const DemoOptions options_;
  std::string directory_;
  std::string password_;
  std::string url_;
  std::unique_ptr<postgres::PrivateCluster> cluster_;
  std::unique_ptr<StallWatch> stalls_;
  Process server_;
  Process app_;
  int apps_ = 0;
  std::uint64_t crashes_ = 0;
};

}  // namespace poundlock::cli
