// How long a kill takes: from the order to a running poundlockd until each of many clients of the library
// answers from the new snapshot, against one plain GET round trip to the same server. Clients are real: each
// has its stream and its threads. The order is durable in the server's store before it is sent.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <thread>

#include "poundlock/client.h"
#include "support/report.h"
#include "support/server.h"

namespace poundlock {
namespace {

using bench::Aim;
constexpr const char* kFlag = "bench_switch";
constexpr double kLimitSeconds = 20;

struct Waited {
  std::vector<double> each_ms;  // of every client
  double all_ms = 0;
};

std::string definition(bool on) {
  return fmt::format(R"({{"definition": {{"state": "ENABLED", "variants": {{"on": true, "off": false}}, )"
                     R"("defaultVariant": "{}"}}, "who": "bench", "why": "measuring"}})",
                     on ? "on" : "off");
}

// Looks at those that have not applied yet, ten times a millisecond. The look itself takes the lock that an
// applying client takes, and is short.
Waited await_all(const std::vector<Client>& clients, std::uint64_t revision, double begin) {
  Waited waited;
  std::vector<const Client*> left;
  for (const auto& client : clients) left.push_back(&client);
  while (!left.empty()) {
    std::erase_if(left, [&](const Client* client) {
      if (client->status().revision < revision) return false;
      waited.each_ms.push_back((bench::seconds_now() - begin) * 1e3);
      return true;
    });
    if (bench::seconds_now() - begin > kLimitSeconds)
      bench::give_up(fmt::format("{} clients never applied revision {}", left.size(), revision));
    if (!left.empty()) ::usleep(100);
  }
  waited.all_ms = waited.each_ms.back();
  return waited;
}

std::uint64_t revision_in(const std::string& body) {
  const auto at = body.find("\"revision\":");
  return at == std::string::npos ? 0 : std::strtoull(body.c_str() + at + 11, nullptr, 10);
}

// The order is given by another thread, so that a client which is faster than the answer is seen.
Waited kill_once(bench::Connection& admin, const std::vector<Client>& clients, std::uint64_t next, bool on) {
  std::string body;
  const double begin = bench::seconds_now();
  std::thread order([&] { body = admin.call("PUT", fmt::format("/v1/flags/{}", kFlag), definition(on)); });
  Waited waited = await_all(clients, next, begin);
  order.join();
  if (revision_in(body) != next) bench::give_up("somebody else changes flags: " + body);
  for (const auto& client : clients) {
    if (client.bool_value(kFlag, !on, {}) != on) bench::give_up("a client answers the old value");
  }
  return waited;
}

}  // namespace

static int run(int argc, char** argv) {
  CLI::App app{"kill to client"};
  bool json = false;
  int count = 200, kills = 50;
  app.add_flag("--json", json);
  app.add_option("--clients", count)->check(CLI::Range(1, 2'000));
  app.add_option("--kills", kills)->check(CLI::Range(1, 10'000));
  CLI11_PARSE(app, argc, argv);

  // Flags need no database: this one is named and never there.
  bench::Server server("{app: {url: \"postgresql://app@127.0.0.1:1/app\"}}");
  bench::Connection admin(server);
  std::uint64_t revision =
      revision_in(admin.call("PUT", fmt::format("/v1/flags/{}", kFlag), definition(true)));
  std::vector<Client> clients;
  for (int i = 0; i < count; ++i) {
    ClientOptions options;
    options.server = server.url();
    options.service = "bench";
    options.instance = fmt::format("bench-{}", i);
    clients.push_back(Client::create(options));
  }
  await_all(clients, revision, bench::seconds_now());
  std::vector<double> each, all, round_trips;
  for (int i = 0; i < kills; ++i) {
    for (int n = 0; n < 5; ++n) {
      const double begin = bench::seconds_now();
      admin.call("GET", "/healthz");
      round_trips.push_back((bench::seconds_now() - begin) * 1e3);
    }
    const Waited waited = kill_once(admin, clients, ++revision, i % 2 != 0);
    each.insert(each.end(), waited.each_ms.begin(), waited.each_ms.end());
    all.push_back(waited.all_ms);
  }
  bench::Report report("kill", fmt::format("{} kills, {} clients on this machine", kills, count));
  const double get = bench::median(round_trips);
  report.add("get_p50_ms", "plain GET round trip, p50", get, "ms");
  report.add("get_p99_ms", "plain GET round trip, p99", bench::percentile(round_trips, 0.99), "ms");
  report.add("client_p50_ms", "order to one client, p50", bench::median(each), "ms");
  report.add("client_p99_ms", "order to one client, p99", bench::percentile(each, 0.99), "ms", Aim::kAtMost,
             1'000);
  report.add("all_p50_ms", "order to the last client, p50", bench::median(all), "ms");
  report.add("all_p99_ms", "order to the last client, p99", bench::percentile(all, 0.99), "ms", Aim::kAtMost,
             1'000);
  report.add("client_to_get", "one client's p50 to a GET's", bench::median(each) / get, "x");
  report.add("all_to_get", "last client's p50 to a GET's", bench::median(all) / get, "x");
  report.print(json);
  std::fflush(stdout);
  // Side by side: a client takes its leave of the server, which one after the other would take a while.
  std::vector<std::thread> closing;
  for (auto& client : clients) closing.emplace_back([&client] { client.close(); });
  for (auto& thread : closing) thread.join();
}

}  // namespace poundlock

int main(int argc, char** argv) {
  return poundlock::run(argc, argv);
}
