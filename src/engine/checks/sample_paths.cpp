// Parameters for the application's statements, taken from the shadow's rows: by the path's own `sample`
// query, or by the column that each parameter is compared with.
#include <fmt/format.h>

#include <algorithm>

#include "engine/checks.h"
#include "engine/checks/path_shape.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

constexpr int kLimitParameter = 10;  // what a `LIMIT $1` gets
constexpr std::string_view kNoSample =
    "its parameters are not compared with columns of the table; give rows of them by `sample:`";

using Kind = ParameterUse::Kind;

// A SELECT of rows of parameters for the legacy statement, or "" where its parameters are not compared
// with columns of one of the change's tables. Its last column tells each row's ctid.
std::string sample_query(const rollout::Plan& plan, const PathShape& shape, int rows) {
  const auto tables = tables_of(plan);
  if (tables.empty()) return {};
  std::string list;
  for (int i = 1; i <= shape.highest; ++i) {
    const auto use = shape.parameters.find(i);
    if (use == shape.parameters.end()) return {};
    const std::string column = schema::force_quote_identifier(use->second.column);
    switch (use->second.kind) {
      case Kind::kLimit: list += fmt::format("'{}'", kLimitParameter); break;
      case Kind::kOffset: list += "'0'"; break;
      case Kind::kAny: list += fmt::format("ARRAY[{}]::text", column); break;
      default: list += column + "::text"; break;
    }
    list += ", ";
  }
  return fmt::format(
      "SELECT {}ctid::text FROM {} ORDER BY pg_catalog.hashtextextended(ctid::text, 7) LIMIT {}", list,
      tables.front().to_sql(), rows);
}

// What a SET gets is another row's value: with its own an UPDATE would change nothing.
void exchange_set_values(const PathShape& shape, std::vector<std::vector<ports::Cell>>& samples) {
  for (const auto& [number, use] : shape.parameters) {
    const auto at = static_cast<std::size_t>(number - 1);
    if (use.kind != Kind::kSet || samples.empty() || at >= samples.front().size()) continue;
    for (std::size_t i = 0; i + 1 < samples.size(); ++i) std::swap(samples[i][at], samples[i + 1][at]);
  }
}

}  // namespace

Result<ports::Rows> read_only(ports::Session& session, const std::string& sql,
                              const std::vector<ports::Cell>& params, const std::string& search_path) {
  PL_CHECK(session.run("BEGIN READ ONLY"));
  PL_CHECK(session.run("SET LOCAL search_path = " + search_path));
  PL_CHECK(session.run("SET LOCAL statement_timeout = '10s'"));
  auto rows = session.run(ports::Sql{sql, params});
  PL_CHECK(session.run("ROLLBACK"));
  return rows;
}

Result<std::string> application_search_path(ports::Session& session, const rollout::Plan& plan) {
  // What the session would have without our own setting: of the role in the database, of the role, of the
  // database, or of the server.
  PL_TRY(const auto set,
         session.run("SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'"));
  std::string out = set.rows.at(0).at(0).value_or("");
  if (out.empty()) out = "\"\"";
  for (const auto& table : tables_of(plan)) out += ", " + schema::force_quote_identifier(table.schema);
  return out;
}

Result<SampledPath> sample_path(ports::Session& session, const rollout::Plan& plan,
                                const rollout::PathSpec& path, int rows, const std::string& search_path) {
  SampledPath sampled{path.name, path.legacy, path.fresh, {}, {}, {}};
  PL_TRY(const auto shape, shape_of(path.legacy, tables_of(plan)));
  if (shape.highest == 0 && path.sample.empty()) {
    sampled.samples.emplace_back();
    return sampled;
  }
  const std::string query = !path.sample.empty() ? path.sample : sample_query(plan, shape, rows);
  if (query.empty()) {
    sampled.problem = kNoSample;
    return sampled;
  }
  auto found = read_only(session, query, {}, search_path);
  if (!found) {
    sampled.problem = found.error().to_string();
    return sampled;
  }
  sampled.samples = std::move(found->rows);
  if (sampled.samples.size() > static_cast<std::size_t>(rows))
    sampled.samples.resize(static_cast<std::size_t>(rows));
  if (sampled.samples.empty()) sampled.problem = "the table has no rows to take parameters from";
  if (!path.sample.empty()) return sampled;
  for (auto& one : sampled.samples) {
    if (shape.inserts) sampled.taken_from.push_back(one.back().value_or(""));
    one.pop_back();
  }
  exchange_set_values(shape, sampled.samples);
  return sampled;
}

Result<std::vector<SampledPath>> sample_paths(ports::Session& session, const rollout::Plan& plan, int rows,
                                              const std::string& search_path) {
  std::vector<SampledPath> out;
  for (const auto& path : plan.paths) {
    PL_TRY(auto sampled, sample_path(session, plan, path, rows, search_path));
    // A row that is there already cannot be inserted again, and traffic plays each sample more than once.
    if (!sampled.taken_from.empty()) sampled.problem = kNoSample;
    out.push_back(std::move(sampled));
  }
  return out;
}

}  // namespace poundlock::engine
