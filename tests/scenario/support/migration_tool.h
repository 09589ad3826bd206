// A test with a migration tool of others: three databases that are alike, a folder with one plain migration
// `m.sql`, and the programs run as a person would run them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "schema/catalog.h"
#include "support/pg_cluster.h"

namespace poundlock::scenario {

struct ToolRan {
  int code = -1;  // 128 where it did not end by itself
  std::string output;
};
// By the shell, with both outputs in one and nothing to read.
ToolRan run_shell(const std::string& command);

// A column, an index, a CHECK and a table of foreign key: for tools whose files hold SQL as it is.
inline constexpr const char* kSqlMigration =
    "ALTER TABLE orders ADD COLUMN note varchar(20) DEFAULT 'it''s; -- 10% Ä' NOT NULL;\n"
    "CREATE INDEX orders_total ON orders (total);\n"
    "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0);\n"
    "CREATE TABLE notes (id bigint PRIMARY KEY, order_id bigint REFERENCES orders (id));\n";

// What a tool's own command line is told.
struct ToolWords {
  std::string write;    // of Poundlock's: "--write db --format flyway"
  std::string begin;    // makes the tool's history in a database that has none
  std::string up;       // runs what has not been run
  std::string down;     // takes all of it back; "" where the tool has no undo
  std::string history;  // its own tables
  // Rails' files bear the time at which they were written: a second time none of them is there already.
  bool named_by_time = false;
};

class MigrationToolTest : public testing::Test {
 protected:
  static constexpr const char* kUntouched = "untouched";  // as before the migration
  static constexpr const char* kTool = "tool";            // the tool works here
  static constexpr const char* kOurs = "ours";            // Poundlock works here

  // A table `orders` of 2,000 rows in each database.
  void start(const std::string& name, const std::string& migration);
  void TearDown() override;

  void sql(const std::string& database, const std::string& text);
  // The first cell, as psql prints it.
  std::string cell(const std::string& database, const std::string& query);
  std::string url(const std::string& database) const;
  ToolRan poundlock(const std::string& arguments);
  // The tool's own program, in a database.
  virtual ToolRan tool(const std::string& database, const std::string& what) = 0;

  // The tool runs what plan wrote, and Poundlock adopts the result. The migration gives each of the 2,000
  // rows of orders a `note`, as SQL and for a shell's double quotes; where the tool can, it takes all back.
  void the_tool_runs_what_was_written(const ToolWords& words, const std::string& note);
  // Poundlock carries the plan out, the tool takes it as run, and a database that the tool makes is alike.
  void the_tool_takes_as_run_what_was_carried_out(const ToolWords& words);

  // Each step of the migration's plan, by the product's own runner.
  void carry_out(const std::string& database);
  // Empty: alike, Poundlock's own schema left out.
  std::vector<std::string> drift(const std::string& a, const std::string& b);

  std::unique_ptr<PgCluster> cluster_;
  std::filesystem::path folder_;
  std::string migration_;
};

}  // namespace poundlock::scenario
