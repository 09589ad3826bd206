#include "postgres/private_cluster.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "schema/identifier.h"

namespace poundlock::postgres {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPrefix = "poundlock-pg-";
constexpr const char* kKeepMarker = "keep";  // its servers outlive whoever made the folder

std::string bin_dir(const ClusterOptions& options) {
  if (!options.programs.empty()) return options.programs;
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
// With `keep` it goes on, also when the terminal sends SIGINT to everybody.
pid_t spawn(const std::vector<std::string>& command, const std::string& log, bool keep) {
  const Account account = server_account();
  const pid_t child = fork();
  if (child != 0) return child;
  setsid();  // Ctrl-C is for us; we then stop it in order
  if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(account.gid) != 0 || setuid(account.uid) != 0))
    _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!keep) prctl(PR_SET_PDEATHSIG, SIGINT);
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
  const pid_t child = spawn(command, log, false);
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) {
    return fail(internal_error(command[0] + " failed: " + tail_of(log)));
  }
  return {};
}

bool is_gone(pid_t process) {
  return kill(process, 0) != 0 && errno == ESRCH;
}

// By the file that PostgreSQL writes at its start and removes at its end; its first line is the pid.
bool is_served(const fs::path& data) {
  std::ifstream in(data / "postmaster.pid");
  pid_t postmaster = 0;
  return in >> postmaster && postmaster > 0 && !is_gone(postmaster);
}

bool is_kept(const fs::path& cluster) {
  std::error_code ignored;
  return fs::exists(cluster / kKeepMarker, ignored) &&
         (is_served(cluster / "data") || is_served(cluster / "replica"));
}

Status wait_for_server(const std::string& conninfo, pid_t child, const std::string& log) {
  for (int attempt = 0; attempt < 600; ++attempt) {
    PL_TRY(auto database, PgDatabase::create(conninfo));
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

// A killed test leaves its directory; its name says whose it was.
void remove_stale_clusters(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const pid_t owner = std::atoi(name.c_str() + std::string_view(kPrefix).size());
    if (owner > 0 && is_gone(owner) && !is_kept(entry.path())) fs::remove_all(entry.path(), ignored);
  }
}

Result<std::unique_ptr<PrivateCluster>> PrivateCluster::start(const ClusterOptions& options) {
  if (access((bin_dir(options) + "/initdb").c_str(), X_OK) != 0) {
    return fail(user_error("cluster.programs", "PostgreSQL's programs are not in " + bin_dir(options))
                    .with_hint("apt-get install postgresql-15, or set POUNDLOCK_PG_BIN"));
  }
  remove_stale_clusters("/tmp");
  std::unique_ptr<PrivateCluster> cluster(new PrivateCluster(options));
  auto booted = cluster->boot();
  if (booted && options.replica) booted = cluster->boot_replica();
  if (booted) return cluster;
  cluster->forget_keep();  // nobody learns of what did not start, so nobody would stop it
  return fail(std::move(booted).error());
}

PrivateCluster::~PrivateCluster() {
  if (options_.keep) return;
  stop_process(replica_, SIGINT);
  stop_process(server_, SIGINT);
  std::error_code ignored;
  if (!directory_.empty()) fs::remove_all(directory_, ignored);
}

std::string PrivateCluster::program(const char* name) const {
  return bin_dir(options_) + "/" + name;
}

Status PrivateCluster::boot() {
  static std::atomic<int> counter{0};
  directory_ = fmt::format("/tmp/{}{}-{}", kPrefix, getpid(), counter++);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
  // Made by us and only then used: in /tmp, somebody else's folder of this name must not be taken.
  if (mkdir(directory_.c_str(), 0700) != 0) return fail(internal_error("cannot make " + directory_));
  const Account account = server_account();
  if (chown(directory_.c_str(), account.uid, account.gid) != 0) return fail(internal_error("chown failed"));
  if (options_.keep && !std::ofstream(directory_ + "/" + kKeepMarker))
    return fail(internal_error("cannot write in " + directory_));
  port_ = free_port();
  const std::string log = directory_ + "/log";
  PL_CHECK(init_data(log));
  PL_TRY(server_, launch(directory_ + "/data", port_));
  PL_CHECK(wait_for_server(conninfo("postgres", "postgres"), server_, log));
  return make_roles();
}

Status PrivateCluster::init_data(const std::string& log) {
  std::vector<std::string> initdb{program("initdb"),
                                  "-D",
                                  directory_ + "/data",
                                  "-U",
                                  "postgres",
                                  "-N",
                                  "-E",
                                  "UTF8",
                                  "--locale=C.UTF-8",
                                  "-A",
                                  options_.password.empty() ? "trust" : "scram-sha-256"};
  if (!options_.password.empty()) {
    const std::string file = directory_ + "/password";
    std::ofstream(file) << options_.password << "\n";
    if (chmod(file.c_str(), 0600) != 0) return fail(internal_error("chmod failed"));
    const Account account = server_account();
    if (chown(file.c_str(), account.uid, account.gid) != 0) return fail(internal_error("chown failed"));
    initdb.push_back("--pwfile=" + file);
  }
  PL_CHECK(run_to_end(initdb, log));
  std::ofstream settings(directory_ + "/data/postgresql.conf", std::ios::app);
  settings << "\nlisten_addresses = '127.0.0.1'\n"
           << "unix_socket_directories = '" << directory_ << "'\nmax_connections = 60\n"
           << "shared_buffers = 128MB\nshared_preload_libraries = 'pg_stat_statements'\n"
           << "pg_stat_statements.track = all\nwal_level = replica\nmax_wal_senders = 4\n"
           << "wal_receiver_status_interval = 1s\nlog_min_messages = warning\n";
  if (!options_.durable) settings << "fsync = off\nfull_page_writes = off\n";
  for (const auto& setting : options_.settings) settings << setting << "\n";
  settings.close();
  return settings ? Status{} : fail(internal_error("cannot write postgresql.conf"));
}

Result<pid_t> PrivateCluster::launch(const std::string& data, int port) {
  const pid_t child = spawn({program("postgres"), "-D", data, "-c", fmt::format("port={}", port)},
                            directory_ + "/log", options_.keep);
  if (child < 0) return fail(internal_error("fork failed"));
  return child;
}

Status PrivateCluster::make_roles() {
  PL_TRY(auto session, database("postgres", "postgres")->connect());
  const std::string secret =
      options_.password.empty() ? "" : " PASSWORD " + schema::quote_literal(options_.password);
  for (const std::string& sql :
       {"CREATE ROLE app LOGIN CREATEDB" + secret, "CREATE ROLE writer LOGIN" + secret,
        std::string("CREATE DATABASE app OWNER app")}) {
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

Status PrivateCluster::boot_replica() {
  const std::string log = directory_ + "/log";
  PL_CHECK(run_to_end({program("pg_basebackup"), "-D", directory_ + "/replica", "-R", "-X", "stream", "-c",
                       "fast", "-d", conninfo("postgres", "postgres")},
                      log));
  replica_port_ = free_port();
  PL_TRY(replica_, launch(directory_ + "/replica", replica_port_));
  return wait_for_server(replica_conninfo("postgres", "postgres"), replica_, log);
}

std::string PrivateCluster::conninfo_at(int port, const std::string& role,
                                        const std::string& database) const {
  std::string out = fmt::format("host=127.0.0.1 port={} user={} dbname={}", port, role, database);
  if (!options_.password.empty()) out += " password=" + options_.password;
  return out;
}

std::string PrivateCluster::conninfo(const std::string& role, const std::string& database) const {
  return conninfo_at(port_, role, database);
}

std::string PrivateCluster::replica_conninfo(const std::string& role, const std::string& database) const {
  return conninfo_at(replica_port_, role, database);
}

std::unique_ptr<PgDatabase> PrivateCluster::database(const std::string& role, const std::string& name) const {
  return std::move(*PgDatabase::create(conninfo(role, name)));
}

std::unique_ptr<PgDatabase> PrivateCluster::replica(const std::string& role) const {
  return std::move(*PgDatabase::create(replica_conninfo(role)));
}

Status PrivateCluster::stop(int signal) {
  stop_process(server_, signal);
  return {};
}

Status PrivateCluster::restart() {
  PL_TRY(server_, launch(directory_ + "/data", port_));
  return wait_for_server(conninfo("postgres", "postgres"), server_, directory_ + "/log");
}

}  // namespace poundlock::postgres
