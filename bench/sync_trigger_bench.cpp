// What the sync trigger costs an application: updates of the legacy column alone, which the trigger brings
// over, against an application that writes both columns itself into a table without a trigger. The trigger
// is measured in both of its modes: while only legacy is written, and while either side may be. Commits do
// not wait for the disk, since that would hide the trigger: this is the hardest case. All take turns.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <thread>

#include "support/report.h"
#include "support/shop.h"

namespace poundlock {
namespace {

using bench::Aim;

struct Way {
  const char* key;
  const char* name;
  std::string table;
  std::string sql;
  std::vector<double> per_second, p50_ms, p99_ms;
};

struct Load {
  long rows;
  int writers;
  double seconds;
};

void write(ports::Session& session, const Way& way, const Load& load, unsigned seed,
           std::vector<double>& times_ms) {
  std::uint64_t state = seed;
  const double until = bench::seconds_now() + load.seconds;
  for (double now = bench::seconds_now(); now < until;) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto id = static_cast<long>((state >> 33) % static_cast<std::uint64_t>(load.rows)) + 1;
    auto done = session.run(way.sql,
                            {fmt::format("st_{:03}", (state >> 20) & 1023), ports::Cell(std::to_string(id))});
    if (!done) bench::give_up(done.error().to_string());
    const double after = bench::seconds_now();
    times_ms.push_back((after - now) * 1e3);
    now = after;
  }
}

void measure(bench::Shop& shop, Way& way, const Load& load) {
  shop.sql("VACUUM " + way.table);
  const auto n = static_cast<std::size_t>(load.writers);
  std::vector<std::unique_ptr<ports::Session>> sessions;
  std::vector<std::vector<double>> times(n);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < n; ++i) sessions.push_back(shop.connect());
  const double begin = bench::seconds_now();
  for (std::size_t i = 0; i < n; ++i) {
    threads.emplace_back([&, i] { write(*sessions[i], way, load, static_cast<unsigned>(i + 1), times[i]); });
  }
  for (auto& thread : threads) thread.join();
  const double took = bench::seconds_now() - begin;
  std::vector<double> all;
  for (const auto& one : times) all.insert(all.end(), one.begin(), one.end());
  way.per_second.push_back(static_cast<double>(all.size()) / took);
  way.p50_ms.push_back(bench::percentile(all, 0.5));
  way.p99_ms.push_back(bench::percentile(all, 0.99));
}

Way prepare(bench::Shop& shop, const char* key, const char* name, long rows) {
  const std::string table = std::string("orders_") + key;
  shop.make_orders(table, rows);
  const auto plan = shop.plan(table);
  shop.run(plan, "dual_write.add_column");
  const bool by_hand = std::string_view(key) == "by_hand";
  if (!by_hand) shop.run(plan, "dual_write.sync_trigger");
  if (std::string_view(key) == "either") {
    for (const auto& step : plan.open_sync) shop.run(step);
  }
  // Both sides begin in step, as after a backfill.
  shop.sql(fmt::format("UPDATE shop.{} SET new_status = legacy_status WHERE new_status IS NULL", table));
  shop.sql(fmt::format("VACUUM FULL shop.{}", table));
  const char* both = ", new_status = $1::varchar(32)";
  return {key,
          name,
          "shop." + table,
          fmt::format("UPDATE shop.{} SET legacy_status = $1::varchar(32){} WHERE id = $2::bigint", table,
                      by_hand ? both : ""),
          {},
          {},
          {}};
}

}  // namespace

static int run(int argc, char** argv) {
  CLI::App app{"the sync trigger against an application that writes both columns"};
  bool json = false;
  Load load{50'000, 2, 1.0};
  int rounds = 5;
  app.add_flag("--json", json);
  app.add_option("--rows", load.rows)->check(CLI::Range(1'000, 50'000'000));
  app.add_option("--writers", load.writers)->check(CLI::Range(1, 64));
  app.add_option("--seconds", load.seconds, "of each slice")->check(CLI::Range(0.1, 600.0));
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 100));
  CLI11_PARSE(app, argc, argv);

  bench::Shop shop({"synchronous_commit = off"});
  std::vector<Way> ways{prepare(shop, "by_hand", "writes both itself", load.rows),
                        prepare(shop, "legacy", "trigger, legacy written", load.rows),
                        prepare(shop, "either", "trigger, either side", load.rows)};
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < ways.size(); ++i)
      measure(shop, ways[(i + static_cast<std::size_t>(round)) % ways.size()], load);
  }
  bench::Report report("sync_trigger", fmt::format("UPDATE of one row by {} writers, medians of {} slices of "
                                                   "{} s",
                                                   load.writers, rounds, load.seconds));
  for (const auto& way : ways) {
    const std::string key = way.key;
    const std::string name = way.name;
    report.add(key + "_per_second", name + ": speed", bench::median(way.per_second), "tx/s");
    report.add(key + "_p50_ms", name + ": p50", bench::median(way.p50_ms), "ms");
    report.add(key + "_p99_ms", name + ": p99", bench::median(way.p99_ms), "ms");
  }
  for (std::size_t i = 1; i < ways.size(); ++i) {
    const std::string name = ways[i].name;
    report.add(std::string(ways[i].key) + "_ratio", name + ": speed to writing both",
               bench::median(ways[i].per_second) / bench::median(ways[0].per_second), "x", Aim::kAtLeast,
               0.9);
    report.add(std::string(ways[i].key) + "_p99_ratio", name + ": p99 to writing both",
               bench::median(ways[i].p99_ms) / bench::median(ways[0].p99_ms), "x");
  }
  report.print(json);
}

}  // namespace poundlock

int main(int argc, char** argv) {
  return poundlock::run(argc, argv);
}
