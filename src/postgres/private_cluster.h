// A private PostgreSQL server for the demo, the tests and the benchmarks: a data directory of its own, a
// free loopback port, a socket directory, optionally a streaming replica. Runs as the user `postgres` when
// we are root, since PostgreSQL refuses root. Goes away with the object, and the server also when we are
// killed (parent-death signal); the directories of killed owners are removed by the next start, apart from
// those whose servers were to be kept and still run. Used by one thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/database.h"
#include "postgres/database.h"

namespace poundlock::postgres {

struct ClusterOptions {
  bool replica = false;
  bool durable = false;  // fsync and full_page_writes as in production
  // Every role's, asked for on TCP. Empty: nobody on this machine is asked, which is for tests only.
  std::string password;
  bool keep = false;                  // outlives us; the directory stays
  std::string programs;               // folder of initdb and postgres; "": Debian's 15, or POUNDLOCK_PG_BIN
  std::vector<std::string> settings;  // "wal_level=logical"
};

// Removes from `folder` what owners that are gone left behind. What was to be kept stays for as long as its
// server or its replica runs. start() does this to /tmp.
void remove_stale_clusters(const std::string& folder);

// Roles: `postgres` is the superuser; `app` owns the database `app`, may create databases and is neither
// superuser nor replication; `writer` may only read and write what `app` makes.
class PrivateCluster {
 public:
  static Result<std::unique_ptr<PrivateCluster>> start(const ClusterOptions& options = {});
  ~PrivateCluster();
  PrivateCluster(const PrivateCluster&) = delete;
  PrivateCluster& operator=(const PrivateCluster&) = delete;

  std::string conninfo(const std::string& role = "app", const std::string& database = "app") const;
  std::string replica_conninfo(const std::string& role = "app", const std::string& database = "app") const;
  std::unique_ptr<PgDatabase> database(const std::string& role = "app",
                                       const std::string& name = "app") const;
  std::unique_ptr<PgDatabase> replica(const std::string& role = "app") const;

  int port() const { return port_; }
  int replica_port() const { return replica_port_; }
  const std::string& directory() const { return directory_; }
  pid_t server_pid() const { return server_; }

  void forget_keep() { options_.keep = false; }  // it goes away with the object after all
  Status stop(int signal);                       // SIGINT: fast; SIGQUIT: as if the machine lost power
  Status restart();                              // after stop()

 private:
  explicit PrivateCluster(ClusterOptions options) : options_(std::move(options)) {}
  Status boot();
  Status init_data(const std::string& log);
  Status boot_replica();
  Status make_roles();
  Result<pid_t> launch(const std::string& data, int port);
  std::string program(const char* name) const;
  std::string conninfo_at(int port, const std::string& role, const std::string& database) const;

  ClusterOptions options_;
  std::string directory_;
  int port_ = 0;
  int replica_port_ = 0;
  pid_t server_ = -1;
  pid_t replica_ = -1;
};

}  // namespace poundlock::postgres
