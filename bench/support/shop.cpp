#include "support/shop.h"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/yaml.h"
#include "ports/cells.h"
#include "postgres/catalog_loader.h"
#include "support/report.h"

namespace poundlock::bench {
namespace {

struct ProcessTimes {
  pid_t parent = 0;
  double own = 0;       // seconds
  double children = 0;  // of those that have ended
};

// proc(5): after the name in parentheses, state, parent, and as fields 14 to 17 the clock ticks of user and
// system, then those of awaited children.
ProcessTimes times_of(const std::filesystem::path& folder) {
  std::ifstream in(folder / "stat");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};  // ended meanwhile
  std::istringstream fields(text.substr(name_end + 1));
  const std::vector<std::string> all{std::istream_iterator<std::string>(fields), {}};
  if (all.size() < 15) return {};
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto number = [&](std::size_t i) { return std::strtod(all[i].c_str(), nullptr) / ticks; };
  return {static_cast<pid_t>(std::strtol(all[1].c_str(), nullptr, 10)), number(11) + number(12),
          number(13) + number(14)};
}

}  // namespace

Shop::Shop(std::vector<std::string> settings) {
  postgres::ClusterOptions options;
  options.durable = true;
  // What is measured is one way of writing against another: no vacuum and no checkpoint in between.
  options.settings = {"autovacuum = off", "checkpoint_timeout = '1h'", "max_wal_size = '8GB'",
                      "shared_buffers = '512MB'"};
  for (auto& setting : settings) options.settings.push_back(std::move(setting));
  cluster_ = must(postgres::PrivateCluster::start(options));
  database_ = cluster_->database();
  session_ = connect();
  sql("CREATE SCHEMA shop");
}

std::unique_ptr<ports::Session> Shop::connect() {
  return must(database_->connect());
}

ports::Rows Shop::sql(const std::string& text) {
  auto done = session_->run(text);
  if (!done) give_up(text + ": " + done.error().to_string());
  return std::move(*done);
}

double Shop::number(const std::string& text) {
  const auto found = sql(text);
  return found.rows.empty() ? 0 : ports::to_double(found.rows[0][0]);
}

double Shop::cpu_seconds() const {
  timespec own{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  double sum = static_cast<double>(own.tv_sec) + static_cast<double>(own.tv_nsec) / 1e9;
  const pid_t server = cluster_->server_pid();
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto pid = std::strtol(entry.path().filename().c_str(), nullptr, 10);
    if (pid <= 0) continue;
    const ProcessTimes times = times_of(entry.path());
    if (pid == server) sum += times.own + times.children;
    if (times.parent == server) sum += times.own;
  }
  return sum;
}

void Shop::make_orders(const std::string& table, long rows) {
  sql(fmt::format("DROP TABLE IF EXISTS shop.{}", table));
  sql(
      fmt::format("CREATE TABLE shop.{} (id bigint PRIMARY KEY, customer bigint NOT NULL, legacy_status "
                  "varchar(32), amount numeric(12,2) NOT NULL DEFAULT 0, updated_at timestamptz NOT NULL "
                  "DEFAULT now())",
                  table));
  sql(
      fmt::format("INSERT INTO shop.{} (id, customer, legacy_status, amount) SELECT i, i % 1000, 'st_' || "
                  "lpad((hashint8(i) & 1023)::text, 3, '0'), (i % 500) + 0.5 FROM generate_series(1, {}) i",
                  table, rows));
  sql(fmt::format("CREATE INDEX ON shop.{} (legacy_status)", table));
  sql(fmt::format("VACUUM (ANALYZE) shop.{}", table));
}

change::OperationPlan Shop::plan(const std::string& table) {
  const auto yaml = fmt::format(
      "change_column:\n  table: shop.{}\n  from: legacy_status\n  to: {{name: new_status, type: "
      "varchar(32)}}\n  up: legacy_status\n  down: new_status\n  not_null: false\n",
      table);
  const auto node = must(yaml::parse(yaml, "change"));
  const auto operation = must(change::parse_operation(node));
  postgres::CatalogFilter filter;
  filter.schemas = {"shop"};
  const auto catalog = must(postgres::load_catalog(*session_, filter));
  return must(operation->plan(catalog, "bench_" + table));
}

rollout::StepOutcome Shop::run(const change::Step& step, const engine::BackfillOptions& backfill) {
  engine::RunnerOptions options;
  options.rollout = "bench";
  options.backfill = backfill;
  engine::StepRunner runner(*database_, clock_, options);
  auto outcome = must(runner.run(step, engine::Direction::kForward, 1, {}));
  if (outcome.kind != rollout::OutcomeKind::kDone)
    give_up(step.id + ": " + (outcome.error ? outcome.error->to_string() : outcome.detail));
  return outcome;
}

void Shop::run(const change::OperationPlan& plan, std::string_view step_id) {
  run(step_of(plan, step_id));
}

const change::Step& step_of(const change::OperationPlan& plan, std::string_view id) {
  for (const auto& step : plan.steps) {
    if (step.id == id) return step;
  }
  give_up("the plan has no step " + std::string(id));
}

}  // namespace poundlock::bench
