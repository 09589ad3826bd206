// A private PostgreSQL server for tests: a data directory of its own below /tmp, a free loopback port,
// a socket directory, optionally a streaming replica. Runs as the user `postgres` when the test is root.
// Goes away with the object, and the server also when the test is killed (parent-death signal); the
// directories of killed tests are removed by the next start. Used by one thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/database.h"
#include "postgres/database.h"

namespace poundlock::scenario {

struct ClusterOptions {
  bool replica = false;
  std::vector<std::string> settings;  // "wal_level=logical"
};

// Roles: `postgres` is the superuser; `app` owns the database `app`, may create databases and is neither
// superuser nor replication; `writer` may only read and write what `app` makes.
class PgCluster {
 public:
  static Result<std::unique_ptr<PgCluster>> start(const ClusterOptions& options = {});
  ~PgCluster();
  PgCluster(const PgCluster&) = delete;
  PgCluster& operator=(const PgCluster&) = delete;

  std::string conninfo(const std::string& role = "app", const std::string& database = "app") const;
  std::string replica_conninfo(const std::string& role = "app", const std::string& database = "app") const;
  std::unique_ptr<postgres::PgDatabase> database(const std::string& role = "app",
                                                 const std::string& name = "app") const;
  std::unique_ptr<postgres::PgDatabase> replica(const std::string& role = "app") const;

  int port() const { return port_; }
  int replica_port() const { return replica_port_; }
  const std::string& directory() const { return directory_; }

  Status stop(int signal);  // SIGINT: fast; SIGQUIT: as if the machine lost power
  Status restart();         // after stop()

 private:
  PgCluster() = default;
  Status boot(const ClusterOptions& options);
  Status boot_replica();
  Status make_roles();
  Result<pid_t> launch(const std::string& data, int port);

  std::string directory_;
  int port_ = 0;
  int replica_port_ = 0;
  pid_t server_ = -1;
  pid_t replica_ = -1;
};

}  // namespace poundlock::scenario
