#include "support/peers.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"

namespace poundlock::bench {

namespace {

namespace fs = std::filesystem;

const fs::path kSources = fs::path(POUNDLOCK_SOURCE_DIR) / "bench/peers";
const fs::path kWork = fs::path(POUNDLOCK_BINARY_DIR) / "bench/peers";

struct Output {
  int status = -1;
  std::string text;
};

// Paths are ours and hold no quote.
Output shell(const fs::path& folder, const std::string& command) {
  Output out;
  const std::string line = fmt::format("cd '{}' && {{ {}; }} 2>&1", folder.string(), command);
  FILE* pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> buffer;
  for (std::size_t size; (size = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    if (out.text.size() < (1 << 20)) out.text.append(buffer.data(), size);
  }
  out.status = pclose(pipe);
  return out;
}

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text.substr(text.rfind('\n') + 1).substr(0, 200);
}

Peer skipped(std::string name, std::string why) {
  Peer peer;
  peer.name = std::move(name);
  peer.skipped = std::move(why);
  return peer;
}

std::vector<Peer> read(const std::string& who, const Output& out) {
  std::vector<Peer> peers;
  std::istringstream lines(out.text);
  for (std::string line; std::getline(lines, line);) {
    const auto json = json::parse(line, who);
    if (!json || !json->is_object()) continue;
    const json::Object& object = json->get_object();
    Peer peer;
    peer.name = json::get_string(object, "name").value_or(who);
    peer.skipped = json::get_string(object, "skipped").value_or("");
    peer.static_ns = json::get_double(object, "static_ns").value_or(0);
    peer.targeted_ns = json::get_double(object, "targeted_ns").value_or(0);
    peer.percentage_ns = json::get_double(object, "percentage_ns").value_or(0);
    peer.in = json::get_uint(object, "in").value_or(0);
    peers.push_back(std::move(peer));
  }
  if (peers.empty()) peers.push_back(skipped(who, "it did not run: " + last_line(out.text)));
  return peers;
}

void copy_sources(const char* name) {
  fs::create_directories(kWork / name);
  for (const auto& file : fs::directory_iterator(kSources / name)) {
    fs::copy_file(file.path(), kWork / name / file.path().filename(), fs::copy_options::update_existing);
  }
}

std::vector<Peer> run_node(const std::string& arguments) {
  const char* who = "Node engines";
  if (shell(kWork, "node --version && npm --version").status != 0)
    return {skipped(who, "no node or npm here")};
  copy_sources("node");
  const fs::path folder = kWork / "node";
  if (!fs::exists(folder / "node_modules/.package-lock.json")) {
    const Output installed = shell(folder, "timeout 300 npm ci --no-audit --no-fund --loglevel=error");
    if (installed.status != 0) return {skipped(who, "npm could not install: " + last_line(installed.text))};
  }
  return read(who, shell(folder, "timeout 300 node peers.mjs " + arguments));
}

std::vector<Peer> run_go(const std::string& arguments) {
  const char* who = "flagd's Go evaluator";
  if (shell(kWork, "go version").status != 0) return {skipped(who, "no go here")};
  copy_sources("go");
  const fs::path folder = kWork / "go";
  const Output built = shell(folder, "timeout 600 go build -o peer .");
  if (built.status != 0) return {skipped(who, "go could not build it: " + last_line(built.text))};
  return read(who, shell(folder, "timeout 300 ./peer " + arguments));
}

}  // namespace

std::vector<Peer> run_peers(const std::string& flags, const std::string& contexts, std::size_t evaluations) {
  fs::create_directories(kWork);
  std::ofstream(kWork / "flags.json") << flags;
  std::ofstream(kWork / "contexts.json") << contexts;
  // Go's evaluator takes a hundred times as long.
  const std::string files = "../flags.json ../contexts.json ";
  std::vector<Peer> peers = run_node(files + std::to_string(evaluations));
  for (Peer& peer : run_go(files + std::to_string(evaluations / 20 + 1))) peers.push_back(std::move(peer));
  return peers;
}

}  // namespace poundlock::bench
