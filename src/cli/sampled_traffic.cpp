#include "cli/sampled_traffic.h"

#include <fmt/format.h>

#include "cli/text.h"
#include "engine/traffic_trial.h"
#include "postgres/database.h"

namespace poundlock::cli {
namespace {

constexpr int kSampled = 20;      // statements of pg_stat_statements
constexpr int kSampledRows = 50;  // rows of parameters for each

Result<ports::Rows> most_often(const std::string& url) {
  PL_TRY(const auto database, postgres::PgDatabase::create(url));
  PL_TRY(const auto session, database->connect());
  PL_TRY(
      const auto schema,
      session->run("SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid "
                   "= e.extnamespace WHERE e.extname = 'pg_stat_statements'"));
  if (schema.rows.empty())
    return fail(
        user_error("traffic.statements", "the extension pg_stat_statements is not in " + database->describe())
            .with_hint("CREATE EXTENSION pg_stat_statements there, or give --traffic FILE"));
  // What names pg_catalog is a tool's doing, such as ours.
  return session->run(fmt::format(
      "SELECT query FROM {}.pg_stat_statements WHERE dbid = (SELECT oid FROM pg_catalog.pg_database "
      "WHERE datname = pg_catalog.current_database()) AND query ~* '^\\s*(select|insert|update|delete)' AND "
      "query !~* 'pg_catalog[.]' "
      "GROUP BY query ORDER BY sum(calls) DESC LIMIT {}",
      schema::force_quote_identifier(schema.rows[0][0].value_or("public")), kSampled));
}

}  // namespace

Result<SampledTraffic> sampled_traffic(const std::string& url, ports::Database& shadow,
                                       const rollout::Plan& plan) {
  PL_TRY(const auto found, most_often(url));
  PL_TRY(const auto session, shadow.connect());
  SampledTraffic out;
  std::vector<ports::TrafficStatement> sampled;
  std::string path;
  for (const auto& row : found.rows) {
    const std::string sql = row[0].value_or(""), name = fit(clean(sql), 60);
    rollout::Plan probe = plan;
    probe.paths = {{.name = name, .legacy = sql, .fresh = sql, .sample = {}, .where = {}}};
    PL_TRY(path, engine::application_search_path(*session, probe));
    // What stands there may be no statement any more: `interval '1 day'` has become `interval $1`.
    const auto paths = engine::sample_paths(*session, probe, kSampledRows, path);
    if (!paths && session->broken()) return fail(paths.error());
    const std::string problem = paths ? paths->at(0).problem : paths.error().message;
    if (problem.empty())
      sampled.push_back({name, paths->at(0).legacy, paths->at(0).samples});
    else
      out.left_out.push_back(name + ": " + problem);
  }
  PL_TRY(auto tried, engine::try_each(shadow, std::move(sampled), path));
  out.statements = std::move(tried.works);
  for (const auto& one : tried.fails) out.left_out.push_back(one.to_string());
  return out;
}

}  // namespace poundlock::cli
