#include "migration/write_batches.h"

#include <fmt/format.h>

#include "migration/do_block.h"
#include "migration/write.h"
#include "schema/identifier.h"

namespace poundlock::migration {
namespace {

constexpr int kRowsOfABatch = 2'000;
constexpr int kTriesMax = 600;  // a tenth of a second between two of them

// "poundlock_low_1, poundlock_low_2", or the same of the columns.
template <typename Text>
std::string listed(const change::InStep& in_step, Text text) {
  std::string out;
  for (std::size_t i = 0; i < in_step.key.size(); ++i) out += (i == 0 ? "" : ", ") + text(i);
  return out;
}

}  // namespace

std::string batched_once(const change::InStep& in_step, Millis lock_timeout) {
  const auto variables = [&](const char* which) {
    return listed(in_step, [&](std::size_t i) { return fmt::format("poundlock_{}_{}", which, i + 1); });
  };
  const std::string key = listed(in_step, [&](std::size_t i) { return in_step.key[i]; });
  const std::string down = listed(in_step, [&](std::size_t i) { return in_step.key[i] + " DESC"; });
  std::string declared;
  for (const char* which : {"low", "high", "last"})
    for (std::size_t i = 0; i < in_step.key.size(); ++i)
      declared += fmt::format("  poundlock_{}_{} {}.{}%TYPE;\n", which, i + 1, in_step.table, in_step.key[i]);
  return do_block(fmt::format(
      "\n#variable_conflict use_column\nDECLARE\n{0}  poundlock_done boolean;\nBEGIN\n"
      "  SELECT {2} INTO {5} FROM {1} ORDER BY {3} LIMIT 1;\n"
      "  SELECT {2} INTO {4} FROM {1} ORDER BY {2} LIMIT 1;\n"
      "  WHILE FOUND LOOP\n"
      "    SELECT {2} INTO {6} FROM (SELECT {2} FROM {1} WHERE ({2}) >= ({4}) AND ({2}) <= ({5})\n"
      "      ORDER BY {2} LIMIT {9}) part ORDER BY {3} LIMIT 1;\n"
      "    EXIT WHEN NOT FOUND;  -- they are gone since\n"
      "    FOR poundlock_try IN 1..{10} LOOP\n"
      "      BEGIN\n"
      "        SET LOCAL lock_timeout = '{11}ms';\n"
      "        UPDATE {1} SET {7} WHERE ({2}) >= ({4}) AND ({2}) <= ({6}) AND {8};\n"
      "        poundlock_done := true;\n"
      "      EXCEPTION WHEN lock_not_available THEN\n"
      "        poundlock_done := false;  -- somebody holds one of its rows\n"
      "      END;\n"
      "      COMMIT;\n"
      "      EXIT WHEN poundlock_done;\n"
      "      PERFORM pg_catalog.pg_sleep(0.1);\n"
      "    END LOOP;\n"
      "    IF NOT poundlock_done THEN\n      RAISE EXCEPTION USING MESSAGE = {12};\n    END IF;\n"
      "    SELECT {2} INTO {4} FROM {1} WHERE ({2}) > ({6}) AND ({2}) <= ({5}) ORDER BY {2} LIMIT 1;\n"
      "  END LOOP;\nEND ",
      declared, in_step.table, key, down, variables("low"), variables("last"), variables("high"),
      in_step.assignment, in_step.out_of_step, kRowsOfABatch, kTriesMax, lock_timeout.count(),
      schema::quote_literal(fmt::format("rows of {} are locked by others again and again: the batches up to "
                                        "there are committed, and a further run begins anew",
                                        in_one_line(in_step.table)))));
}

}  // namespace poundlock::migration
