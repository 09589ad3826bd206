// Parameters for the application's statements, taken from the shadow's rows: by the path's own `sample`
// query, or by the column that each parameter is compared with.
#include <fmt/format.h>

#include <charconv>
#include <map>

#include "engine/checks.h"
#include "schema/identifier.h"
#include "schema/sql.h"

namespace poundlock::engine {
namespace {

std::string_view word(const schema::Statement& statement, std::size_t token) {
  return token < statement.tokens().size() ? statement.slice(statement.tokens()[token].range)
                                           : std::string_view{};
}

int parameter_number(std::string_view text) {
  int number = 0;
  if (text.size() < 2 || text[0] != '$') return 0;
  std::from_chars(text.data() + 1, text.data() + text.size(), number);
  return number;
}

std::string unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '"') return std::string(text);
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    out += text[i];
    if (text[i] == '"') ++i;
  }
  return out;
}

// `column = $n`, `$n = column`, and the same with < > <= >= LIKE; a qualifier before the column is left.
std::map<int, std::string> compared_columns(const schema::Statement& statement) {
  std::map<int, std::string> out;
  for (std::size_t i = 0; i < statement.tokens().size(); ++i) {
    const int number = parameter_number(word(statement, i));
    if (number == 0) continue;
    const auto comparison = [&](std::string_view text) {
      return text == "=" || text == "<" || text == ">" || text == "<=" || text == ">=";
    };
    if (i >= 2 && comparison(word(statement, i - 1)))
      out[number] = unquoted(word(statement, i - 2));
    else if (comparison(word(statement, i + 1))) {
      std::size_t column = i + 2;
      while (word(statement, column + 1) == ".") column += 2;
      out[number] = unquoted(word(statement, column));
    }
  }
  return out;
}

int highest_parameter(const schema::Statement& statement) {
  int highest = 0;
  for (std::size_t i = 0; i < statement.tokens().size(); ++i)
    highest = std::max(highest, parameter_number(word(statement, i)));
  return highest;
}

// A SELECT of rows of parameters for the legacy statement, or "" where its parameters are not compared
// with columns of one of the change's tables.
std::string sample_query(const rollout::Plan& plan, const schema::Statement& statement, int parameters,
                         int rows) {
  const auto columns = compared_columns(statement);
  const auto tables = tables_of(plan);
  if (tables.empty() || static_cast<int>(columns.size()) < parameters) return {};
  std::string list;
  for (int i = 1; i <= parameters; ++i) {
    if (!columns.contains(i)) return {};
    list += (i > 1 ? ", " : "") + schema::quote_identifier(columns.at(i)) + "::text";
  }
  return fmt::format("SELECT {} FROM {} ORDER BY pg_catalog.hashtextextended(ctid::text, 7) LIMIT {}", list,
                     tables.front().to_sql(), rows);
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
  PL_TRY(
      const auto set,
      session.run("SELECT substr(c, 13) FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c"
                  " WHERE s.setrole = 0 AND c LIKE 'search_path=%' AND s.setdatabase ="
                  " (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"));
  std::string out = set.rows.empty() ? "\"$user\", public" : set.rows[0].at(0).value_or("public");
  for (const auto& table : tables_of(plan)) out += ", " + schema::force_quote_identifier(table.schema);
  return out;
}

Result<std::vector<SampledPath>> sample_paths(ports::Session& session, const rollout::Plan& plan, int rows,
                                              const std::string& search_path) {
  std::vector<SampledPath> out;
  for (const auto& path : plan.paths) {
    SampledPath sampled{path.name, path.legacy, path.fresh, {}, {}};
    PL_TRY(const auto statement, schema::parse_statement(path.legacy));
    const int parameters = highest_parameter(statement);
    if (parameters == 0 && path.sample.empty()) {
      sampled.samples.emplace_back();
    } else {
      const std::string query =
          !path.sample.empty() ? path.sample : sample_query(plan, statement, parameters, rows);
      if (query.empty()) {
        sampled.problem =
            "its parameters are not compared with columns of the table; give rows of them by `sample:`";
      } else if (auto found = read_only(session, query, {}, search_path); !found) {
        sampled.problem = found.error().to_string();
      } else {
        sampled.samples = std::move(found->rows);
        if (sampled.samples.size() > static_cast<std::size_t>(rows))
          sampled.samples.resize(static_cast<std::size_t>(rows));
        if (sampled.samples.empty()) sampled.problem = "the table has no rows to take parameters from";
      }
    }
    out.push_back(std::move(sampled));
  }
  return out;
}

}  // namespace poundlock::engine
