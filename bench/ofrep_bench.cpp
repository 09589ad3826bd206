// OFREP single evaluations a second: poundlockd against nginx, which returns a fixed body of the same size,
// and against flagd where it is there; the same requests by wrk, one after the other in each round. Beside
// the rate, which a busy machine disturbs, what each server spends of the processor on a request.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>

#include "support/child.h"
#include "support/report.h"
#include "support/server.h"

namespace poundlock {
namespace {

using bench::Aim;
namespace fs = std::filesystem;

constexpr const char* kFlags[] = {"plain", "targeted", "split"};
constexpr const char* kBody = R"({"context":{"targetingKey":"customer-4711","plan":"pro","country":"CA"}})";
constexpr const char* kPeers = POUNDLOCK_BINARY_DIR "/bench/peers";

std::string definition(std::string_view key) {
  const char* rule = "";
  if (key == "targeted")
    rule = R"(,"targeting":{"if":[{"and":[{"in":[{"var":"plan"},["pro","gold"]]},)"
           R"({"==":[{"var":"country"},"CA"]}]},"on","off"]})";
  if (key == "split") rule = R"(,"targeting":{"fractional":[["on",30],["off",70]]})";
  return fmt::format(R"({{"state":"ENABLED","variants":{{"on":true,"off":false}},"defaultVariant":"on"{}}})",
                     rule);
}

struct Folder {
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "poundlock-ofrep-XXXXXX").string();
    if (!mkdtemp(pattern.data())) bench::give_up("no folder can be made in the folder for temporary files");
    path = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
  std::string path;
};

struct Target {
  std::string name, url;  // of an evaluation but for the key
  pid_t pid;
};

struct Round {
  double rate = 0;    // requests a second
  double cpu_us = 0;  // the server's, a request
};

Round run_wrk(const Target& target, const std::string& script, std::string_view key, double seconds) {
  const std::string command =
      fmt::format("wrk -t1 -c64 -d{:.0f}s -s {} {}{} 2>&1", seconds, script, target.url, key);
  const double before = bench::cpu_seconds(target.pid);
  std::unique_ptr<FILE, int (*)(FILE*)> out(::popen(command.c_str(), "r"), ::pclose);
  if (!out) bench::give_up("wrk cannot be started");
  std::string text;
  for (char buffer[4096]; std::fgets(buffer, sizeof buffer, out.get());) text += buffer;
  const double spent = bench::cpu_seconds(target.pid) - before;
  double rate = 0, requests = 0;
  if (const auto at = text.find("Requests/sec:"); at != std::string::npos)
    rate = std::strtod(text.c_str() + at + 13, nullptr);
  if (const auto at = text.find(" requests in "); at != std::string::npos)
    requests = std::strtod(text.c_str() + text.rfind('\n', at) + 1, nullptr);
  if (rate <= 0 || requests <= 0 || text.find("Non-2xx") != std::string::npos)
    bench::give_up(fmt::format("wrk against {}: {}", target.name, text));
  return {rate, spent / requests * 1e6};
}

void await(std::uint16_t port, const bench::Child& child, const std::string& log) {
  const double until = bench::seconds_now() + 20;
  while (!bench::listens(port)) {
    if (child.has_ended() || bench::seconds_now() > until) bench::give_up("it did not start; see " + log);
    ::usleep(10'000);
  }
}

// The machine's own, or the one that `./dev bench` unpacked; "" for none.
std::string nginx_program() {
  for (const std::string& path :
       {std::string("/usr/sbin/nginx"), std::string(kPeers) + "/nginx/usr/sbin/nginx"})
    if (fs::exists(path)) return path;
  return {};
}

std::unique_ptr<bench::Child> start_nginx(const Folder& folder, std::uint16_t port, const std::string& body) {
  std::string text = fmt::format(
      "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/nginx.log;\n"
      "events {{ worker_connections 1024; }}\nhttp {{ access_log off; keepalive_requests 1000000000;\n"
      "default_type application/json;\n",
      folder.path);
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
    text += fmt::format("{0}_temp_path {1}/{0};\n", kind, folder.path);
  text += fmt::format("server {{ listen 127.0.0.1:{}; location / {{ return 200 '{}'; }} }} }}\n", port, body);
  auto child = std::make_unique<bench::Child>(
      std::vector<std::string>{nginx_program(), "-e", folder.path + "/nginx.log", "-c",
                               folder.write("nginx.conf", text)},
      folder.path + "/nginx.out");
  await(port, *child, folder.path);
  return child;
}

// Says why it is not measured where it cannot be had.
bool have_flagd() {
  if (fs::exists(std::string(kPeers) + "/flagd")) return true;
  if (!bench::has_program("go")) {
    fmt::print(stderr, "flagd is not measured: there is no go to build it with\n");
    return false;
  }
  const std::string command = fmt::format(
      "GOBIN={} timeout 900 go install github.com/open-feature/flagd/flagd@latest 2>&1 | tail -n 2 >&2",
      kPeers);
  if (std::system(command.c_str()) == 0 && fs::exists(std::string(kPeers) + "/flagd")) return true;
  fmt::print(stderr, "flagd is not measured: go cannot install it\n");
  return false;
}

std::unique_ptr<bench::Child> start_flagd(const Folder& folder, std::uint16_t port) {
  std::string flags;
  for (const char* key : kFlags)
    flags += fmt::format("{}\"{}\":{}", flags.empty() ? "" : ",", key, definition(key));
  const std::string file = folder.write("flags.json", "{\"flags\":{" + flags + "}}");
  const auto other = [] { return std::to_string(bench::free_port()); };
  auto child = std::make_unique<bench::Child>(
      std::vector<std::string>{std::string(kPeers) + "/flagd", "start", "--uri", "file:" + file,
                               "--ofrep-port", std::to_string(port), "--port", other(), "--management-port",
                               other(), "--sync-port", other()},
      folder.path + "/flagd.log");
  await(port, *child, folder.path);
  return child;
}

struct Figures {
  std::map<std::string, std::vector<Round>> by_target;

  double median(const std::string& target, double Round::*field) const {
    std::vector<double> values;
    for (const auto& round : by_target.at(target)) values.push_back(round.*field);
    return bench::median(values);
  }
  // Of the rounds' own ratios: both ran in the same seconds.
  double ratio(const std::string& a, const std::string& b) const {
    std::vector<double> values;
    for (std::size_t i = 0; i < by_target.at(a).size(); ++i)
      values.push_back(by_target.at(a)[i].rate / by_target.at(b)[i].rate);
    return bench::median(values);
  }
};

void add(bench::Report& report, const std::string& key, const std::string& label, const Figures& figures) {
  for (const auto& [target, rounds] : figures.by_target) {
    report.add(key + "_" + target + "_rps", label + ", " + target, figures.median(target, &Round::rate),
               "1/s");
    report.add(key + "_" + target + "_cpu_us", "  its processor time a request",
               figures.median(target, &Round::cpu_us), "us");
  }
  report.add(key + "_to_nginx", "  poundlockd to nginx", figures.ratio("poundlockd", "nginx"), "x",
             Aim::kAtLeast, 0.8);
  if (figures.by_target.contains("flagd"))
    report.add(key + "_to_flagd", "  poundlockd to flagd", figures.ratio("poundlockd", "flagd"), "x");
}

}  // namespace

static int run(int argc, char** argv) {
  CLI::App app{"OFREP evaluations a second"};
  bool json = false;
  int rounds = 3;
  double seconds = 3;
  app.add_flag("--json", json);
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 100));
  app.add_option("--seconds", seconds, "of each run of wrk")->check(CLI::Range(1.0, 600.0));
  CLI11_PARSE(app, argc, argv);
  if (!bench::has_program("wrk") || nginx_program().empty())
    bench::give_up("wrk and nginx are needed: start it by `./dev bench ofrep`");

  const Folder folder;
  // Flags need no database: this one is named and never there.
  bench::Server server("{app: {url: \"postgresql://app@127.0.0.1:1/app\"}}");
  bench::Connection admin(server);
  for (const char* key : kFlags)
    admin.call("PUT", fmt::format("/v1/flags/{}", key),
               fmt::format(R"({{"definition":{}}})", definition(key)));
  const std::string sample = admin.call("POST", "/ofrep/v1/evaluate/flags/targeted", kBody);
  const std::uint16_t nginx_port = bench::free_port(), flagd_port = bench::free_port();
  const auto nginx = start_nginx(folder, nginx_port, sample);
  const auto flagd = have_flagd() ? start_flagd(folder, flagd_port) : nullptr;
  const std::string path = "/ofrep/v1/evaluate/flags/";
  std::vector<Target> targets{{"nginx", fmt::format("http://127.0.0.1:{}{}", nginx_port, path), nginx->pid()},
                              {"poundlockd", server.url() + path, server.pid()}};
  if (flagd)
    targets.push_back({"flagd", fmt::format("http://127.0.0.1:{}{}", flagd_port, path), flagd->pid()});

  const std::string post = fmt::format(
      "wrk.method='POST'; wrk.headers['Content-Type']='application/json'; wrk.body='{}'\n", kBody);
  const std::string one = folder.write("one.lua", post);
  const std::string sixteen =
      folder.write("sixteen.lua",
                   post +
                       "local all\ninit = function() local r = {}; for i = 1, 16 do r[i] = wrk.format() end;"
                       " all = table.concat(r) end\nrequest = function() return all end\n");
  bench::Report report(
      "ofrep",
      fmt::format("OFREP single evaluations, {} rounds of {} s each, 64 connections", rounds, seconds));
  for (const char* key : kFlags) {
    Figures figures;
    for (int i = 0; i < rounds; ++i)
      for (const Target& target : targets)
        figures.by_target[target.name].push_back(run_wrk(target, one, key, seconds));
    add(report, key, fmt::format("{} flag", key), figures);
  }
  Figures pipelined;
  for (int i = 0; i < rounds; ++i)
    for (const Target& target : targets)
      pipelined.by_target[target.name].push_back(run_wrk(target, sixteen, "targeted", seconds));
  add(report, "pipelined", "16 requests at once, targeted", pipelined);
  report.print(json);
}

}  // namespace poundlock

int main(int argc, char** argv) {
  return poundlock::run(argc, argv);
}
