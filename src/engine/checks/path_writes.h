// What a writing statement of the application does to the tables of the change: run in a transaction that
// is rolled back, and looked at before that.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/database.h"
#include "rollout/plan.h"

namespace poundlock::engine {

struct WriteEffect {
  using Row = std::map<std::string, std::string>;  // column: value as JSON
  std::uint64_t affected = 0;
  std::vector<Row> returned;
  // By table: the row versions that it wrote, and count and hash of all the others. Absent where the table is
  // too large to be read for each sample.
  std::map<std::string, std::vector<Row>> written;
  std::map<std::string, std::string> untouched;
  std::uint64_t out_of_step = 0;  // of those rows
  bool complete = true;           // false: something was too large; only `affected` and `returned` count
};

struct WriteTrial {
  std::string sql;
  std::vector<ports::Cell> params;
  std::string search_path;
  Millis limit{10'000};
  // The row that an INSERT's values were taken from: it is deleted before, or its key would be taken.
  std::string taken_from;
};

Result<WriteEffect> write_effect(ports::Session& session, const rollout::Plan& plan, const WriteTrial& trial);

// What is not alike, in plain words; "" where all is. A column whose values differ between two runs of the
// legacy statement itself (a sequence's number, clock_timestamp()) is left out of the comparison.
std::string effect_difference(const WriteEffect& legacy, const WriteEffect& again, const WriteEffect& fresh);

}  // namespace poundlock::engine
