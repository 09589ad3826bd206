// Lint of ten thousand statements in one script, against libpg_query parsing the same statements one after
// the other and nothing else, and against squawk, which PyPI has, on the same file.
#include <fmt/format.h>
#include <pg_query.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "lint/lint.h"
#include "schema/large_stack.h"
#include "schema/sql.h"
#include "support/report.h"

namespace poundlock {
namespace {

using bench::Aim;

constexpr const char* kSquawk = "squawk-cli==2.70.0";

// Statements as migrations and dumps hold them, most of them harmless: findings are bounded.
std::string statement(int i) {
  switch (i % 10) {
    case 0:
      return fmt::format(
          "CREATE TABLE IF NOT EXISTS app.table_{0} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
          "customer_id bigint NOT NULL, status text, total numeric(10,2), made_at timestamptz NOT NULL "
          "DEFAULT now());",
          i);
    case 1: return fmt::format("ALTER TABLE app.orders_{} ADD COLUMN note_{} text;", i % 300, i);
    case 2:
      return fmt::format("CREATE INDEX CONCURRENTLY IF NOT EXISTS i_{0} ON app.orders_{1} (a, b);", i,
                         i % 300);
    case 3:
      return fmt::format(
          "INSERT INTO app.settings (key, value) VALUES ('key_{0}', 'some value of {0}') ON CONFLICT "
          "(key) DO NOTHING;",
          i);
    case 4: return fmt::format("UPDATE app.orders_{} SET status = 'new' WHERE id = {};", i % 300, i);
    case 5:
      return fmt::format("COMMENT ON TABLE app.orders_{} IS 'what it holds, in a few words: {}';", i % 300,
                         i);
    case 6:
      return fmt::format("ALTER TABLE app.orders_{0} ADD CONSTRAINT c_{1} CHECK (total_{0} >= 0) NOT VALID;",
                         i % 300, i);
    case 7:
      return fmt::format(
          "SELECT o.id, c.name FROM app.orders_{} o JOIN app.customers c ON c.id = o.customer_id WHERE "
          "o.made_at > now() - interval '1 day' AND o.total > {};",
          i % 300, i);
    case 8: return fmt::format("GRANT SELECT ON app.orders_{} TO reader_{};", i % 300, i % 7);
    default:
      return fmt::format("CREATE OR REPLACE VIEW app.view_{0} AS SELECT id, status FROM app.orders_{0};",
                         i % 300);
  }
}

// CPU seconds of all threads of this process and of the children that it has waited for: other programs on
// the machine weigh less than by the clock on the wall.
double cpu_seconds() {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (const timeval& one : {usage.ru_utime, usage.ru_stime})
      seconds += static_cast<double>(one.tv_sec) + static_cast<double>(one.tv_usec) / 1e6;
  }
  return seconds;
}

double timed(const std::function<void()>& work) {
  const double from = cpu_seconds();
  work();
  return cpu_seconds() - from;
}

double parse_alone(const std::vector<std::string>& statements) {
  return timed([&] {
    bench::must(schema::run_with_large_stack([&] {
      for (const auto& one : statements)
        pg_query_free_protobuf_parse_result(pg_query_parse_protobuf(one.c_str()));
    }));
  });
}

// "" where there is no Python or no registry.
std::string squawk() {
  const std::string folder = std::string(POUNDLOCK_BINARY_DIR) + "/bench/peers/squawk";
  const std::string program = folder + "/bin/squawk";
  if (!std::filesystem::exists(program)) {
    const std::string install = fmt::format(
        "python3 -m venv '{0}' >/dev/null 2>&1 && '{0}/bin/pip' install -q --disable-pip-version-check {1} "
        ">/dev/null 2>&1",
        folder, kSquawk);
    if (std::system(install.c_str()) != 0) return "";
  }
  return std::filesystem::exists(program) ? program : "";
}

}  // namespace

static int run(int argc, char** argv) {
  CLI::App app{"lint of ten thousand statements"};
  bool json = false;
  bool peers = true;
  int count = 10'000;
  int rounds = 5;
  app.add_flag("--json", json);
  app.add_flag("!--no-peers", peers, "without squawk");
  app.add_option("--statements", count)->check(CLI::Range(10, 10'000));
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 100));
  CLI11_PARSE(app, argc, argv);

  std::vector<std::string> statements;
  std::string script = "SET lock_timeout = '50ms';\nSET statement_timeout = '5s';\n";
  for (int i = 0; i < count - 2; ++i) {
    statements.push_back(statement(i));
    script += statements.back() + '\n';
  }
  const std::string program = peers ? squawk() : "";
  const std::string file = fmt::format("{}/bench/lint_bench.sql", POUNDLOCK_BINARY_DIR);
  std::filesystem::create_directories(std::filesystem::path(file).parent_path());
  std::ofstream(file) << script;

  std::vector<double> ours, parsing, theirs;
  std::size_t findings = 0;
  for (int round = 0; round < rounds; ++round) {
    parsing.push_back(parse_alone(statements));
    ours.push_back(timed([&] {
      const lint::Report report = lint::lint(script, "bench.sql");
      findings = report.findings.size();
      if (report.statements != static_cast<std::size_t>(count)) bench::give_up("a statement was not read");
    }));
    if (program.empty()) continue;
    theirs.push_back(timed([&] {
      const int status = std::system(fmt::format("'{}' '{}' >/dev/null 2>&1", program, file).c_str());
      if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) bench::give_up("squawk does not run");
    }));
  }
  bench::Report report("lint",
                       fmt::format("lint of {} statements, {} KB, CPU time", count, script.size() / 1000));
  report.add("seconds", "lint", bench::median(ours), "s", Aim::kAtMost, 1);
  report.add("statements_per_second", "statements a second", count / bench::median(ours), "");
  report.add("parse_seconds", "libpg_query parsing alone", bench::median(parsing), "s");
  report.add("of_parsing", "lint to parsing alone", bench::median(ours) / bench::median(parsing), "x");
  if (!theirs.empty()) {
    report.add("squawk_seconds", "squawk-cli 2.70.0, with its start", bench::median(theirs), "s");
    report.add("of_squawk", "lint to squawk", bench::median(ours) / bench::median(theirs), "x");
  } else {
    report.note(peers ? "squawk-cli cannot be installed here (no Python, or no registry)" : "without squawk");
  }
  report.note(fmt::format("{} findings", findings));
  report.print(json);
}

}  // namespace poundlock

int main(int argc, char** argv) {
  return poundlock::run(argc, argv);
}
