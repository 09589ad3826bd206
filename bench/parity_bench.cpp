// Two databases of thousands of objects compared as `poundlock parity` does it, against pg_dump --schema-only
// of both, which reads the same catalogs and compares nothing. All take turns.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <thread>

#include "engine/checks/parity_sides.h"
#include "postgres/catalog_loader.h"
#include "support/report.h"
#include "support/shop.h"

namespace poundlock {
namespace {

using bench::Aim;

// Five objects a table: itself, its key, another index, a constraint, and a function.
void fill(postgres::PrivateCluster& cluster, const std::string& database, int tables) {
  auto opened = cluster.database("app", database)->connect();
  if (!opened) bench::give_up(opened.error().to_string());
  auto done = (*opened)->run(fmt::format(
      "DO $$ BEGIN FOR i IN 1..{} LOOP EXECUTE pg_catalog.format('CREATE TABLE public.t%s (id bigint PRIMARY "
      "KEY, a text, b int CHECK (b > 0), c timestamptz DEFAULT pg_catalog.now())', i); EXECUTE "
      "pg_catalog.format('CREATE INDEX ON public.t%s (a)', i); EXECUTE pg_catalog.format('CREATE FUNCTION "
      "public.f%s() RETURNS int LANGUAGE sql AS ''SELECT %s''', i, i); END LOOP; END $$",
      tables));
  if (!done) bench::give_up(done.error().to_string());
}

engine::Side read(postgres::PrivateCluster& cluster, const std::string& database) {
  auto session = cluster.database("app", database)->connect();
  if (!session) bench::give_up(session.error().to_string());
  auto side = engine::read_side(**session, [](ports::Session& reading) {
    return postgres::load_catalog(reading, {.schemas = {}, .tables = {}, .whole = true});
  });
  if (!side) bench::give_up(side.error().to_string());
  return std::move(*side);
}

double compare(postgres::PrivateCluster& cluster) {
  const double begin = bench::seconds_now();
  engine::Side from;
  std::thread other([&] { from = read(cluster, "one"); });
  const engine::Side to = read(cluster, "two");
  other.join();
  const auto differences = engine::compare_sides(from, to, nullptr);
  if (!differences.empty()) bench::give_up("two equal databases were told to differ");
  return bench::seconds_now() - begin;
}

double dump(postgres::PrivateCluster& cluster) {
  const double begin = bench::seconds_now();
  std::thread other([&] {
    const std::string command =
        fmt::format("pg_dump --schema-only '{}' > /dev/null", cluster.conninfo("app", "one"));
    if (std::system(command.c_str()) != 0) bench::give_up("pg_dump failed");
  });
  const std::string command =
      fmt::format("pg_dump --schema-only '{}' > /dev/null", cluster.conninfo("app", "two"));
  if (std::system(command.c_str()) != 0) bench::give_up("pg_dump failed");
  other.join();
  return bench::seconds_now() - begin;
}

}  // namespace

static int run(int argc, char** argv) {
  CLI::App app{"parity of two databases against pg_dump of both"};
  bool json = false;
  int tables = 1'000;
  int rounds = 5;
  app.add_flag("--json", json);
  app.add_option("--tables", tables, "five objects each")->check(CLI::Range(1, 100'000));
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 100));
  CLI11_PARSE(app, argc, argv);

  bench::Shop shop({"max_locks_per_transaction = 1024"});
  for (const auto* name : {"one", "two"}) {
    shop.sql(fmt::format("CREATE DATABASE {}", name));
    fill(shop.cluster(), name, tables);
  }
  std::vector<double> ours, dumps;
  for (int round = 0; round < rounds; ++round) {
    ours.push_back(compare(shop.cluster()));
    dumps.push_back(dump(shop.cluster()));
  }
  bench::Report report("parity", fmt::format("two databases of {} objects, both sides at once, medians of {}",
                                             tables * 5, rounds));
  report.add("seconds", "parity", bench::median(ours), "s", Aim::kAtMost, 2);
  report.add("pg_dump_seconds", "pg_dump --schema-only", bench::median(dumps), "s");
  report.add("ratio", "parity / pg_dump", bench::median(ours) / bench::median(dumps), "x", Aim::kAtMost, 1);
  report.print(json);
  return 0;
}

}  // namespace poundlock

int main(int argc, char** argv) {
  return poundlock::run(argc, argv);
}
