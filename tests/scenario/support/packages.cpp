#include "support/packages.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
constexpr int kInstallLimit_s = 240;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool runs(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

// Runs `install` in a new folder, and gives the folder its name only when that went well: a test that was
// killed while it installed leaves nothing that looks whole.
Packages installed(const std::string& name, const std::string& lock,
                   const std::function<std::string(const std::string& folder)>& install) {
  const std::string folder = fmt::format("{}/clients/{}-{:x}", POUNDLOCK_BINARY_DIR, name,
                                         std::hash<std::string>{}(read_file(lock)));
  if (fs::exists(folder + "/installed")) return folder;
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  fs::create_directories(folder, ignored);
  const std::string log = folder + ".log";
  const std::string command =
      fmt::format("timeout {} sh -c '{}' >{} 2>&1", kInstallLimit_s, install(folder), log);
  if (std::system(command.c_str()) != 0)
    return tl::unexpected(
        fmt::format("SKIPPED: the packages of {} cannot be installed (no registry?), see {}", name, log));
  std::ofstream(folder + "/installed") << "yes\n";
  return folder;
}

}  // namespace

Packages node_packages(const std::string& name, const std::string& source) {
  if (!runs("command -v npm") ||
      !runs("node -e \"process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)\""))
    return tl::unexpected(std::string("SKIPPED: Node 20 or newer with npm is not installed"));
  auto folder = installed(name, source + "/package-lock.json", [&](const std::string& to) {
    return fmt::format("cp {0}/package*.json {1} && cd {1} && npm ci --no-audit --no-fund", source, to);
  });
  if (!folder) return folder;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(source))
    if (entry.path().extension() == ".mjs")
      fs::copy_file(entry.path(), fs::path(*folder) / entry.path().filename(),
                    fs::copy_options::overwrite_existing, error);
  return folder;
}

Packages python_packages(const std::string& name, const std::string& source) {
  if (!runs("python3 -c \"import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 10))\""))
    return tl::unexpected(std::string("SKIPPED: Python 3.10 or newer with venv is not installed"));
  return installed(name, source + "/requirements.txt", [&](const std::string& to) {
    return fmt::format(
        "python3 -m venv {1} && {1}/bin/pip install -q --disable-pip-version-check -r "
        "{0}/requirements.txt",
        source, to);
  });
}

namespace {

bool has_java() {
  return runs("command -v mvn") && runs(
                                       "javac -version 2>&1 | sed -E \"s/^javac ([0-9]+).*/\\1/\" | grep -qE "
                                       "\"^(1[7-9]|[2-9][0-9])$\"");
}

std::string install_jars(const std::string& source, const std::string& to) {
  return fmt::format(
      "cp {0}/pom.xml {1} && mvn --batch-mode --quiet --file {1}/pom.xml -Dmaven.repo.local={1}/repository "
      "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies",
      source, to);
}

}  // namespace

Packages java_packages(const std::string& name, const std::string& source) {
  if (!has_java())
    return tl::unexpected(std::string("SKIPPED: a JDK of 17 or newer with mvn is not installed"));
  return installed(name, source + "/pom.xml",
                   [&](const std::string& to) { return install_jars(source, to); });
}

Packages newer_postgres() {
  if (!runs("uname -sm | grep -qx \"Linux x86_64\""))
    return tl::unexpected(std::string("SKIPPED: Maven has a newer PostgreSQL for Linux on amd64 only"));
  if (!has_java())
    return tl::unexpected(std::string("SKIPPED: a JDK of 17 or newer with mvn is not installed"));
  const std::string source = POUNDLOCK_SOURCE_DIR "/tests/clients/postgres";
  const auto folder = installed("postgres", source + "/pom.xml", [&](const std::string& to) {
    return install_jars(source, to) +
           fmt::format(
               " && cd {} && jar xf lib/embedded-postgres-*.jar && tar -xJf postgres-linux-x86_64.txz && rm "
               "-rf repository lib/*.jar *.txz META-INF && chmod -R a+rX .",
               to);
  });
  if (!folder) return folder;
  // A server started by root runs as another user.
  std::error_code error;
  for (fs::path at = *folder; at != at.root_path(); at = at.parent_path()) {
    const bool open = (fs::status(at, error).permissions() & fs::perms::others_exec) != fs::perms::none;
    if (geteuid() == 0 && !open)
      return tl::unexpected(fmt::format("SKIPPED: {} is closed to the server's user", at.string()));
  }
  return *folder + "/bin";
}

Packages go_program(const std::string& name, const std::string& source) {
  // Without a download in the middle: an older Go would fetch the toolchain that go.mod names.
  if (!runs(fmt::format("cd {} && GOTOOLCHAIN=local go list -m", source)))
    return tl::unexpected(std::string("SKIPPED: Go 1.24 or newer is not installed"));
  auto folder = installed(name, source + "/go.sum", [&](const std::string&) {
    return fmt::format("cd {} && go mod download", source);
  });
  if (!folder) return folder;
  const std::string program = *folder + "/service";
  std::error_code ignored;
  fs::remove(program, ignored);
  // A program that does not compile is missing then, and the test that starts it fails: no reason to skip.
  static_cast<void>(runs(fmt::format("cd {} && go build -o {} .", source, program)));
  return program;
}

}  // namespace poundlock::scenario
