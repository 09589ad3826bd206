// The backfill of a changed column, in short transactions and with the sync trigger in place, against one
// plain UPDATE of the same rows: once on an identical table (trigger and all, as it must be while an
// application writes), once on a table without the trigger (the floor, which no online change may use).
// All three take turns on one server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "support/report.h"
#include "support/shop.h"

namespace poundlock {
namespace {

using bench::Aim;

struct Way {
  const char* name;
  bool trigger;
  bool ours;
  std::vector<double> rows_per_second, cpu_us_per_row, wal_per_row, heap_growth, key_growth;
};

// Its key index grows as well as its heap: rows that move to another page need a new index entry.
constexpr const char* kSize = "SELECT pg_relation_size('shop.{}'::regclass)";
constexpr const char* kKeySize = "SELECT pg_relation_size('shop.{}_pkey'::regclass)";
constexpr const char* kWal = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn";

void measure(bench::Shop& shop, Way& way, long rows, const engine::BackfillOptions& options, bool detail) {
  const std::string table = "orders";
  shop.make_orders(table, rows);
  // Its progress is kept by table and step: a later round on a new table begins anew by itself.
  const auto plan = shop.plan(table);
  shop.run(plan, "dual_write.add_column");
  if (way.trigger) shop.run(plan, "dual_write.sync_trigger");
  shop.number(fmt::format("SELECT count(*) FROM shop.{}", table));
  const double heap = shop.number(fmt::format(kSize, table));
  const double key = shop.number(fmt::format(kKeySize, table));
  const double wal = shop.number(kWal);
  const double cpu = shop.cpu_seconds();
  const double begin = bench::seconds_now();
  std::map<std::string, double> figures;
  if (way.ours) {
    figures = shop.run(bench::step_of(plan, "dual_write.backfill"), options).figures;
  } else {
    shop.sql(fmt::format("UPDATE shop.{} SET new_status = legacy_status", table));
  }
  const double took = bench::seconds_now() - begin;
  const auto n = static_cast<double>(rows);
  way.rows_per_second.push_back(n / took);
  way.cpu_us_per_row.push_back((shop.cpu_seconds() - cpu) * 1e6 / n);
  way.wal_per_row.push_back((shop.number(kWal) - wal) / n);
  way.heap_growth.push_back(shop.number(fmt::format(kSize, table)) / heap);
  way.key_growth.push_back(shop.number(fmt::format(kKeySize, table)) / key);
  if (!detail) return;
  fmt::print("{:<22} {:>8.0f} rows/s {:>5.2f} us/row of CPU {:>5.0f} B/row of WAL", way.name, n / took,
             way.cpu_us_per_row.back(), way.wal_per_row.back());
  for (const auto& [name, value] : figures) fmt::print(" {}={:.2f}", name, value);
  fmt::print("\n");
}

void add(bench::Report& report, const std::string& key, const Way& way) {
  const std::string name = way.name;
  report.add(key + "_rows_per_second", name + ": speed", bench::median(way.rows_per_second), "rows/s");
  report.add(key + "_cpu_us_per_row", name + ": CPU", bench::median(way.cpu_us_per_row), "us/row");
  report.add(key + "_wal_bytes_per_row", name + ": WAL", bench::median(way.wal_per_row), "B/row");
  report.add(key + "_heap_growth", name + ": table after to before", bench::median(way.heap_growth), "x");
  report.add(key + "_key_growth", name + ": key index after to before", bench::median(way.key_growth), "x");
}

}  // namespace

static int run(int argc, char** argv) {
  CLI::App app{"backfill against one plain UPDATE"};
  bool json = false, detail = false;
  long rows = 300'000;
  int rounds = 3;
  engine::BackfillOptions options;
  long target_ms = options.target.count();
  app.add_flag("--json", json);
  app.add_flag("--detail", detail, "each run's own line");
  app.add_option("--rows", rows)->check(CLI::Range(1'000, 50'000'000));
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 100));
  app.add_option("--stripes", options.stripes)->check(CLI::Range(1, 64));
  app.add_option("--batch-ms", target_ms, "target time of a batch")->check(CLI::Range(1, 60'000));
  CLI11_PARSE(app, argc, argv);
  options.target = Millis{target_ms};

  bench::Shop shop({});
  std::vector<Way> ways{{"backfill", true, true, {}, {}, {}, {}, {}},
                        {"one UPDATE", true, false, {}, {}, {}, {}, {}},
                        {"one UPDATE, no trigger", false, false, {}, {}, {}, {}, {}}};
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < ways.size(); ++i)
      measure(shop, ways[(i + static_cast<std::size_t>(round)) % ways.size()], rows, options, detail);
  }
  bench::Report report("backfill", fmt::format("backfill of {} rows, medians of {} rounds", rows, rounds));
  add(report, "ours", ways[0]);
  add(report, "update", ways[1]);
  add(report, "bare_update", ways[2]);
  const auto ratio = [&](auto field, int to) {
    return bench::median(ways[0].*field) / bench::median(ways[to].*field);
  };
  report.add("rows_ratio", "speed to one UPDATE", ratio(&Way::rows_per_second, 1), "x", Aim::kAtLeast, 1.0);
  report.add("rows_ratio_bare", "speed to one UPDATE, no trigger", ratio(&Way::rows_per_second, 2), "x");
  report.add("cpu_ratio", "CPU to one UPDATE", ratio(&Way::cpu_us_per_row, 1), "x");
  report.add("cpu_ratio_bare", "CPU to one UPDATE, no trigger", ratio(&Way::cpu_us_per_row, 2), "x");
  report.add("wal_ratio", "WAL to one UPDATE", ratio(&Way::wal_per_row, 1), "x", Aim::kAtMost, 0.75);
  report.add("wal_ratio_bare", "WAL to one UPDATE, no trigger", ratio(&Way::wal_per_row, 2), "x");
  report.print(json);
}

}  // namespace poundlock

int main(int argc, char** argv) {
  return poundlock::run(argc, argv);
}
