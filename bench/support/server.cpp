#include "support/server.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/json.h"
#include "support/report.h"

namespace poundlock::bench {
namespace {

namespace fs = std::filesystem;
constexpr double kStartLimitSeconds = 20;
constexpr const char* kProgram = POUNDLOCK_BINARY_DIR "/poundlockd";

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::size_t keep_body(char* bytes, std::size_t size, std::size_t count, void* body) {
  static_cast<std::string*>(body)->append(bytes, size * count);
  return size * count;
}

}  // namespace

Server::Server(const std::string& databases) {
  std::string pattern = (fs::temp_directory_path() / "poundlock-bench-XXXXXX").string();
  if (!mkdtemp(pattern.data())) give_up("no folder can be made in the folder for temporary files");
  directory_ = pattern;
  std::ofstream(directory_ + "/poundlock.yaml")
      << "environments:\n  bench:\n    databases: " << databases
      << "\ndefault_environment: bench\nserver: {listen: \"127.0.0.1:0\", state: \"" << directory_
      << "/state\"}\n";
  spawn();
  await();
}

Server::~Server() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);  // nothing is kept, so that nothing has to be put away
    ::waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

void Server::spawn() {
  const std::string config = directory_ + "/poundlock.yaml";
  const std::string log = directory_ + "/log";
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) give_up("no process can be started");
  if (pid_ > 0) return;
  // In the child only what is safe between fork and exec.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  ::execl(kProgram, kProgram, "--config", config.c_str(), static_cast<char*>(nullptr));
  ::_exit(127);
}

void Server::await() {
  const std::string file = directory_ + "/state/server.json";
  const double until = seconds_now() + kStartLimitSeconds;
  while (!fs::exists(file)) {
    if (seconds_now() > until || ::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      const std::string log = text_of(directory_ + "/log");
      fs::remove_all(directory_);
      give_up(fmt::format("{} did not start: {}", kProgram, log));
    }
    ::usleep(10'000);
  }
  const auto value = must(json::parse(text_of(file), file));
  url_ = must(json::get_string(value.as_object(), "url"));
  token_ = text_of(directory_ + "/state/admin-token");
  while (!token_.empty() && token_.back() == '\n') token_.pop_back();
}

double Server::resident_mib() const {
  std::ifstream in(fmt::format("/proc/{}/status", pid_));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  give_up("poundlockd has ended");
}

struct Connection::Impl {
  std::string url;
  CURL* curl = nullptr;
  curl_slist* headers = nullptr;
};

Connection::Connection(const Server& server) : impl_(std::make_unique<Impl>()) {
  impl_->url = server.url();
  impl_->curl = curl_easy_init();
  if (!impl_->curl) give_up("libcurl gives no handle");
  const std::string bearer = "Authorization: Bearer " + server.token();
  impl_->headers = curl_slist_append(nullptr, bearer.c_str());
  impl_->headers = curl_slist_append(impl_->headers, "Content-Type: application/json");
}

Connection::~Connection() {
  curl_slist_free_all(impl_->headers);
  curl_easy_cleanup(impl_->curl);
}

std::string Connection::call(const std::string& method, const std::string& path, const std::string& json) {
  std::string body;
  CURL* curl = impl_->curl;
  curl_easy_reset(curl);  // keeps the connection
  curl_easy_setopt(curl, CURLOPT_URL, (impl_->url + path).c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, impl_->headers);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  if (!json.empty()) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(json.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 20'000L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) give_up(fmt::format("{} {}: {}", method, path, curl_easy_strerror(code)));
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status / 100 != 2) give_up(fmt::format("{} {}: {} {}", method, path, status, body));
  return body;
}

}  // namespace poundlock::bench
