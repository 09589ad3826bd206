#include "support/pg_cluster.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPrefix = "poundlock-pg-";

std::string bin_dir() {
  if (const char* set = std::getenv("POUNDLOCK_PG_BIN")) return set;
  return "/usr/lib/postgresql/15/bin";
}

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
};

Account server_account() {
  if (geteuid() != 0) return {geteuid(), getegid()};
  for (const char* name : {"postgres", "nobody"}) {
    if (const passwd* entry = getpwnam(name)) return {entry->pw_uid, entry->pw_gid};
  }
  return {65534, 65534};
}

int free_port() {
  const int handle = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  int port = 0;
  if (bind(handle, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  close(handle);
  return port;
}

// Starts a program as the server's user, its output appended to `log`. It gets SIGINT when we die.
pid_t spawn(const std::vector<std::string>& command, const std::string& log) {
  const Account account = server_account();
  const pid_t child = fork();
  if (child != 0) return child;
  if (geteuid() == 0 && (setgid(account.gid) != 0 || setuid(account.uid) != 0)) _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGINT);
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  std::vector<char*> arguments;
  for (const auto& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  setenv("LC_ALL", "C.UTF-8", 1);
  execv(arguments[0], arguments.data());
  _exit(127);
}

std::string tail_of(const std::string& path) {
  std::ifstream in(path);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  return text.size() > 2000 ? text.substr(text.size() - 2000) : text;
}

Status run_to_end(const std::vector<std::string>& command, const std::string& log) {
  const pid_t child = spawn(command, log);
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) {
    return fail(internal_error(command[0] + " failed: " + tail_of(log)));
  }
  return {};
}

// A killed test leaves its directory; its name says whose it was.
void remove_leftovers() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/tmp", ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const pid_t owner = std::atoi(name.c_str() + std::string_view(kPrefix).size());
    if (owner > 0 && kill(owner, 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), ignored);
  }
}

Status wait_for_server(const std::string& conninfo, pid_t child, const std::string& log) {
  for (int attempt = 0; attempt < 600; ++attempt) {
    PL_TRY(auto database, postgres::PgDatabase::create(conninfo));
    if (database->connect()) return {};
    if (int status = 0; waitpid(child, &status, WNOHANG) == child) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return fail(internal_error("PostgreSQL did not start: " + tail_of(log)));
}

void stop_process(pid_t& process, int signal) {
  if (process <= 0) return;
  kill(process, signal);
  int status = 0;
  for (int attempt = 0; attempt < 400; ++attempt) {
    if (waitpid(process, &status, WNOHANG) == process) {
      process = -1;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
  }
  kill(process, SIGQUIT);
  waitpid(process, &status, 0);
  process = -1;
}

}  // namespace

Result<std::unique_ptr<PgCluster>> PgCluster::start(const ClusterOptions& options) {
  remove_leftovers();
  std::unique_ptr<PgCluster> cluster(new PgCluster);
  PL_CHECK(cluster->boot(options));
  if (options.replica) PL_CHECK(cluster->boot_replica());
  return cluster;
}

PgCluster::~PgCluster() {
  stop_process(replica_, SIGINT);
  stop_process(server_, SIGINT);
  std::error_code ignored;
  if (!directory_.empty()) fs::remove_all(directory_, ignored);
}

Status PgCluster::boot(const ClusterOptions& options) {
  static std::atomic<int> counter{0};
  directory_ = fmt::format("/tmp/{}{}-{}", kPrefix, getpid(), counter++);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
  fs::create_directories(directory_);
  const Account account = server_account();
  if (chown(directory_.c_str(), account.uid, account.gid) != 0) return fail(internal_error("chown failed"));
  port_ = free_port();
  const std::string log = directory_ + "/log";
  PL_CHECK(run_to_end({bin_dir() + "/initdb", "-D", directory_ + "/data", "-U", "postgres", "-A", "trust", "-N",
                       "-E", "UTF8", "--locale=C.UTF-8"},
                      log));
  std::ofstream settings(directory_ + "/data/postgresql.conf", std::ios::app);
  settings << "\nlisten_addresses = '127.0.0.1'\nfsync = off\nfull_page_writes = off\n"
           << "unix_socket_directories = '" << directory_ << "'\nmax_connections = 60\n"
           << "shared_buffers = 128MB\nshared_preload_libraries = 'pg_stat_statements'\n"
           << "pg_stat_statements.track = all\nwal_level = replica\nmax_wal_senders = 4\n"
           << "wal_receiver_status_interval = 1s\nlog_min_messages = warning\n";
  for (const auto& setting : options.settings) settings << setting << "\n";
  settings.close();
  PL_TRY(server_, launch(directory_ + "/data", port_));
  PL_CHECK(wait_for_server(conninfo("postgres", "postgres"), server_, log));
  return make_roles();
}

Result<pid_t> PgCluster::launch(const std::string& data, int port) {
  const pid_t child =
      spawn({bin_dir() + "/postgres", "-D", data, "-c", fmt::format("port={}", port)}, directory_ + "/log");
  if (child < 0) return fail(internal_error("fork failed"));
  return child;
}

Status PgCluster::make_roles() {
  PL_TRY(auto session, database("postgres", "postgres")->connect());
  for (const char* sql : {"CREATE ROLE app LOGIN CREATEDB", "CREATE ROLE writer LOGIN",
                          "CREATE DATABASE app OWNER app"}) {
    PL_CHECK(session->run(sql));
  }
  PL_TRY(auto inside, database("postgres", "app")->connect());
  for (const char* sql :
       {"CREATE EXTENSION pg_stat_statements SCHEMA public", "GRANT ALL ON SCHEMA public TO app",
        "GRANT USAGE ON SCHEMA public TO writer",
        "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT ALL ON TABLES TO writer",
        "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT ALL ON SEQUENCES TO writer"}) {
    PL_CHECK(inside->run(sql));
  }
  return {};
}

Status PgCluster::boot_replica() {
  const std::string log = directory_ + "/log";
  PL_CHECK(run_to_end({bin_dir() + "/pg_basebackup", "-D", directory_ + "/replica", "-R", "-X", "stream", "-c",
                       "fast", "-d", conninfo("postgres", "postgres")},
                      log));
  replica_port_ = free_port();
  PL_TRY(replica_, launch(directory_ + "/replica", replica_port_));
  return wait_for_server(replica_conninfo("postgres", "postgres"), replica_, log);
}

std::string PgCluster::conninfo(const std::string& role, const std::string& database) const {
  return fmt::format("host=127.0.0.1 port={} user={} dbname={}", port_, role, database);
}

std::string PgCluster::replica_conninfo(const std::string& role, const std::string& database) const {
  return fmt::format("host=127.0.0.1 port={} user={} dbname={}", replica_port_, role, database);
}

std::unique_ptr<postgres::PgDatabase> PgCluster::database(const std::string& role,
                                                          const std::string& name) const {
  return std::move(*postgres::PgDatabase::create(conninfo(role, name)));
}

std::unique_ptr<postgres::PgDatabase> PgCluster::replica(const std::string& role) const {
  return std::move(*postgres::PgDatabase::create(replica_conninfo(role)));
}

Status PgCluster::stop(int signal) {
  stop_process(server_, signal);
  return {};
}

Status PgCluster::restart() {
  PL_TRY(server_, launch(directory_ + "/data", port_));
  return wait_for_server(conninfo("postgres", "postgres"), server_, directory_ + "/log");
}

}  // namespace poundlock::scenario
