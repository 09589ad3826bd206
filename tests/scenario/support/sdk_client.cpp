#include "support/sdk_client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <vector>

namespace poundlock::scenario {
namespace {

constexpr Millis kReadyMax{30'000};

std::string folder_of(const std::string& language) {
  return fmt::format("{}/clients/{}", POUNDLOCK_BINARY_DIR, language);
}

std::vector<std::string> program(const std::string& language) {
  const std::string folder = folder_of(language);
  if (language == "python") return {folder + "/venv/bin/python", folder + "/client.py"};
  if (language == "java")
    return {"java",
            "-XX:TieredStopAtLevel=1",  // or the first seconds go to the compiler
            "-Dslf4j.internal.verbosity=ERROR",
            "-cp",
            folder + "/lib/*",
            folder + "/Client.java"};
  return {"node", folder + "/client.mjs"};
}

Error broken(const std::string& what) {
  return internal_error("the client program " + what);
}

}  // namespace

std::string missing_client(const std::string& language) {
  const std::string command = fmt::format("'{}/tests/clients/install.sh' '{}' '{}' 2>&1",
                                          POUNDLOCK_SOURCE_DIR, language, folder_of(language));
  std::FILE* output = ::popen(command.c_str(), "r");
  if (!output) return "the shell cannot be started";
  std::array<char, 4096> text{};
  const std::size_t size = std::fread(text.data(), 1, text.size(), output);
  const int status = ::pclose(output);
  if (status == 0) return "";
  return size == 0 ? fmt::format("install.sh ended with {}", status) : std::string(text.data(), size);
}

Result<std::unique_ptr<SdkClient>> SdkClient::start(const std::string& language, const std::string& mode,
                                                    std::uint16_t port) {
  std::unique_ptr<SdkClient> out(new SdkClient);
  int in[2], answers[2];
  if (::pipe2(in, O_CLOEXEC) != 0) return fail(broken("has no pipe"));
  out->to_ = in[1];
  if (::pipe2(answers, O_CLOEXEC) != 0) {
    ::close(in[0]);
    return fail(broken("has no pipe"));
  }
  out->from_ = answers[0];
  auto words = program(language);
  for (const std::string& word : {mode, std::string("127.0.0.1"), std::to_string(port)})
    words.push_back(word);
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, answers[1], STDOUT_FILENO);
  const int failed = ::posix_spawnp(&out->pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(answers[1]);
  if (failed != 0) {
    out->pid_ = -1;
    return fail(broken("cannot be started"));
  }
  PL_TRY(const std::string ready, out->read_line(kReadyMax));
  if (ready != "ready") return fail(broken("says " + ready));
  return out;
}

SdkClient::~SdkClient() {
  if (to_ >= 0) ::close(to_);
  if (from_ >= 0) ::close(from_);
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);  // it holds nothing that it could lose
  ::waitpid(pid_, nullptr, 0);
}

Result<std::string> SdkClient::read_line(Millis limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    if (const auto end = buffered_.find('\n'); end != std::string::npos) {
      std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return line;
    }
    const auto left = std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{from_, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0)
      return fail(broken(fmt::format("has not answered within {}", format_duration(limit))));
    std::array<char, 4096> text{};
    const ssize_t size = ::read(from_, text.data(), text.size());
    if (size <= 0) return fail(broken("has ended"));
    buffered_.append(text.data(), static_cast<std::size_t>(size));
  }
}

Result<boost::json::object> SdkClient::ask(const boost::json::object& request, Millis limit) {
  const std::string line = boost::json::serialize(request) + "\n";
  if (::write(to_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    return fail(broken("takes no request"));
  PL_TRY(const std::string text, read_line(limit));
  boost::system::error_code bad;
  auto answer = boost::json::parse(text, bad);
  if (bad || !answer.is_object()) return fail(broken("says " + text));
  return std::move(answer.as_object());
}

}  // namespace poundlock::scenario
