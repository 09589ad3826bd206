// A plan as files that a migration tool runs: one migration for each transaction group, so that what has
// committed is in the tool's history and a second run begins behind it. A script for psql has no history: it
// asks each transaction's probe. Pure; thread-safe.
// Sources: the documentation of Flyway, Liquibase (formatted SQL), Alembic and Rails' migrations.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "migration/sql_plan.h"

namespace poundlock::migration {

enum class Format { kSql, kFlyway, kLiquibase, kAlembic, kRails, kRollout };
Result<Format> format_from(std::string_view text);  // "sql", "flyway", ...; kUser "plan.format"
bool one_file(Format format);                       // else a folder of files

struct WrittenFile {
  std::string name;  // in the folder; of one file: ""
  std::string text;
  bool contract = false;  // of the contract phase: must not be deployed together with the others
};

struct WriteOptions {
  std::string name = "migration";
  // Flyway: "7" gives V7_1__..., V7_2__...; Rails: fourteen digits, counted on; Liquibase: the author.
  std::string version;
  std::string after;  // Alembic: the revision that this comes behind; "" for the first
};

// Errors (kUser): "plan.decisions" where a person has to decide first, "plan.not_a_rollout" where a step is
// no operation of a rollout, "plan.version".
Result<std::vector<WrittenFile>> write_plan(const SqlPlan& plan, Format format, const WriteOptions& options);

// The items of the plan as migrations see them.
struct Migration {
  const SqlStep* first = nullptr;
  std::vector<const SqlStep*> steps;
  bool in_transaction = true;
  std::string probe;  // one SELECT of one boolean: whether all of it is there; "" where nothing tells
  std::string slug;   // "dual_write_create_index_orders"
  std::vector<std::string> forward() const;  // whole statements with their semicolons, time-outs first
  std::vector<std::string> back() const;     // time-outs first; may be empty
  bool back_in_transaction() const;
  // Its way back has nothing to take away: it proves, vacuums, or fills rows that may stay as they are. What
  // has neither such nothing nor a way back must stop whoever takes it back: the next run would do it again.
  bool leaves_nothing() const;
  bool is_contract() const;
};
std::vector<Migration> migrations_of(const SqlPlan& plan);

// For comments: a title holds names of the author's, and a carriage return in one ends a comment of
// PostgreSQL's, so that what stands behind it would run. Control characters become spaces.
std::string in_one_line(std::string_view text);

// What has to be true before a migration of the contract phase is run, as lines of comment; "" for others.
std::string contract_comment(const Migration& migration, std::string_view mark);

std::vector<WrittenFile> write_alembic(std::span<const Migration> migrations, const WriteOptions& options);
Result<std::vector<WrittenFile>> write_rails(std::span<const Migration> migrations,
                                             const WriteOptions& options);
Result<std::vector<WrittenFile>> write_rollout(const SqlPlan& plan, const WriteOptions& options);

}  // namespace poundlock::migration
