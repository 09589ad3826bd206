// Resident memory of poundlockd: when it has started, with a rollout of a changed column under way, and with
// a hundred clients that stream and report. There is nothing to compare with but the aim.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <thread>

#include "poundlock/router.h"
#include "support/report.h"
#include "support/server.h"
#include "support/shop.h"

namespace poundlock {
namespace {

using bench::Aim;

constexpr const char* kRollout = R"(rollout: orders_status_v2
database: app
change:
  - change_column:
      table: shop.orders
      from: legacy_status
      to: {name: new_status, type: varchar(32)}
      up: legacy_status
      down: new_status
      not_null: false
paths:
  - name: by_id
    legacy: SELECT id, legacy_status AS status FROM shop.orders WHERE id = $1
    new: SELECT id, new_status AS status FROM shop.orders WHERE id = $1
feature_flags:
  schema_v2_migration:
    enabled: true
    rollout_strategy: percentage
    initial_percentage: 1
    steps: [1, 5, 25, 50, 100]
    increment_interval: 15m
windows: {overlap: 14d, dual_write: 7d, observe: 72h}
gates:
  all: {min_samples: 20}
  dry_run_time: {waive: "a benchmark has no shadow"}
  lock_contention: {waive: "a benchmark has no shadow"}
  paths_equal: {waive: "a benchmark has no shadow"}
  rehearsal: {waive: "a benchmark has no shadow"}
  parity: {waive: "a benchmark has no staging"}
)";

// Every client reads on its path, so that the server has figures of each to keep.
void use(std::vector<Client>& clients, double seconds) {
  const double until = bench::seconds_now() + seconds;
  while (bench::seconds_now() < until) {
    for (auto& client : clients) {
      const Router router(client, "schema_v2_migration");
      auto unit = router.begin({.targeting_key = "customer-1", .attributes = {}});
      const auto read = [](Attempt&) -> Outcome<int> { return 1; };
      if (!unit.read("by_id", read, read).ok()) bench::give_up("a read that cannot fail has failed");
    }
    ::usleep(20'000);
  }
}

void await_ready(const std::vector<Client>& clients) {
  for (const auto& client : clients) {
    if (!client.wait_until_ready(std::chrono::seconds(20))) bench::give_up("a client gets no snapshot");
  }
}

}  // namespace

static int run(int argc, char** argv) {
  CLI::App app{"resident memory of poundlockd"};
  bool json = false;
  int count = 100;
  double seconds = 5;
  app.add_flag("--json", json);
  app.add_option("--clients", count)->check(CLI::Range(1, 2'000));
  app.add_option("--seconds", seconds, "for which the clients report")->check(CLI::Range(1.0, 3'600.0));
  CLI11_PARSE(app, argc, argv);

  bench::Shop shop({});
  shop.make_orders("orders", 20'000);
  bench::Server server(
      fmt::format("{{app: {{url: \"postgresql://app@127.0.0.1:{}/app\"}}}}", shop.cluster().port()));
  bench::Connection admin(server);
  const double started = server.resident_mib();
  admin.call("POST", "/v1/rollouts",
             boost::json::serialize(boost::json::object{{"source", kRollout}, {"who", "bench"}}));
  ::usleep(2'000'000);
  const double loaded = server.resident_mib();
  std::vector<Client> clients;
  for (int i = 0; i < count; ++i) {
    ClientOptions options;
    options.server = server.url();
    options.service = "bench";
    options.instance = fmt::format("bench-{}", i);
    clients.push_back(Client::create(options));
  }
  await_ready(clients);
  use(clients, seconds);
  const double busy = server.resident_mib();

  bench::Report report("memory", "resident memory of poundlockd");
  report.add("started_mib", "started", started, "MiB");
  report.add("rollout_mib", "with a rollout", loaded, "MiB");
  report.add("clients_mib", fmt::format("with a rollout and {} clients", count), busy, "MiB", Aim::kAtMost,
             64);
  report.add("client_kib", "of each client", (busy - loaded) * 1024 / count, "KiB");
  report.print(json);
  std::fflush(stdout);
  std::vector<std::thread> closing;
  for (auto& client : clients) closing.emplace_back([&client] { client.close(); });
  for (auto& thread : closing) thread.join();
}

}  // namespace poundlock

int main(int argc, char** argv) {
  return poundlock::run(argc, argv);
}
