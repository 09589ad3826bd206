#include "engine/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/failing_rows.h"
#include "engine/table_shape.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr int kNamedMax = 1'000;  // mismatches of one chunk that are rechecked by key; the rest by chunk

class Verification {
 public:
  Verification(ports::Session& session, Clock& clock, const change::InStep& in_step,
               const VerifyOptions& options)
      : session_(session),
        clock_(clock),
        in_step_(in_step),
        options_(options),
        condition_(options.open && !in_step.out_of_step_open.empty() ? in_step.out_of_step_open
                                                                     : in_step.out_of_step) {}

  Result<VerifyResult> run(const StopToken& stop, const ProgressCallback& progress) {
    const TimePoint begin = clock_.steady();
    PL_TRY(shape_, read_shape(session_, in_step_.table, in_step_.key));
    const double total = shape_.rows();
    for (const auto& leaf : shape_.leaves) {
      PL_TRY(const bool whole, at_once(leaf));
      tell(begin, total, progress);
      if (whole) continue;
      std::int64_t end = leaf.blocks;
      for (std::int64_t from = 0; from < end; from += options_.blocks) {
        if (stop.stop()) {
          result_.stopped = true;
          break;
        }
        PL_CHECK(chunk(leaf, from, std::min(end, from + options_.blocks)));
        // Rows may have been added, or have moved, behind the end that was seen first.
        if (from + options_.blocks >= end) {
          PL_TRY(const std::int64_t now, blocks_now(leaf));
          end = std::max(end, now);
        }
        tell(begin, total, progress);
      }
      if (result_.stopped) break;
    }
    result_.seconds = static_cast<double>((clock_.steady() - begin).count()) / 1000.0;
    return std::move(result_);
  }

 private:
  std::string select(const Leaf& leaf, const std::string& what, const std::string& where) const {
    return fmt::format("SELECT {} FROM {} WHERE {}", what, leaf.name, where);
  }

  Result<std::int64_t> blocks_now(const Leaf& leaf) {
    PL_TRY(const auto size, session_.run("SELECT pg_catalog.pg_relation_size($1::oid) / $2::bigint",
                                         {leaf.oid, std::to_string(shape_.block_bytes)}));
    return ports::to_int(size.rows.at(0)[0]);
  }

  // True when the leaf is in step as a whole; else it is gone through in chunks, to name the rows.
  Result<bool> at_once(const Leaf& leaf) {
    if (leaf.blocks > options_.blocks_at_once) return false;
    auto counted =
        session_.run(select(leaf, fmt::format("count(*), count(*) FILTER (WHERE {})", condition_), "true"));
    if (!counted && is_data_error(counted.error())) return false;
    PL_CHECK(counted);
    if (ports::to_int(counted->rows.at(0)[1]) != 0) return false;
    result_.rows += static_cast<std::uint64_t>(ports::to_int(counted->rows[0][0]));
    return true;
  }

  Status chunk(const Leaf& leaf, std::int64_t from, std::int64_t to) {
    const std::string range = block_range(shape_, from, to);
    auto counted =
        session_.run(select(leaf, fmt::format("count(*), count(*) FILTER (WHERE {})", condition_), range));
    if (!counted && is_data_error(counted.error())) return explain_failure(leaf, from, to, counted.error());
    PL_CHECK(counted);
    result_.rows += static_cast<std::uint64_t>(ports::to_int(counted->rows.at(0)[0]));
    if (ports::to_int(counted->rows[0][1]) == 0) return {};
    return recheck(leaf, range);
  }

  // The comparison raises: that row is out of step, and the reason is the user's expression.
  Status explain_failure(const Leaf& leaf, std::int64_t from, std::int64_t to, Error error) {
    PL_TRY(const auto rows,
           find_failing_rows(session_, shape_, leaf, from, to, [&](const std::string& where) {
             return select(leaf, fmt::format("count(*) FILTER (WHERE {})", condition_), where);
           }));
    error.code = "verify.up_fails";
    error.message = fmt::format("the comparison fails on rows of {}: {}", leaf.name,
                                rows.keys.empty() ? error.message : rows.to_string());
    error.hint = "correct these rows, or the expression `up`, and verify again";
    return fail(std::move(error));
  }

  // Looks again at the rows that differed; only those that still do count.
  Status recheck(const Leaf& leaf, const std::string& range) {
    std::vector<std::vector<std::string>> keys;
    std::vector<std::string> samples;
    PL_CHECK(mismatching(leaf, range, keys, samples));
    for (int again = 0; again < options_.rechecks && !samples.empty(); ++again) {
      clock_.sleep(options_.recheck_after);
      const bool by_key = !shape_.key.empty() && samples.size() < kNamedMax;
      const std::string where = by_key ? by_keys(keys) : range;
      PL_CHECK(mismatching(leaf, where, keys, samples, by_key));
    }
    if (samples.empty()) return {};
    PL_TRY(const auto count,
           session_.run(select(leaf, "count(*)", fmt::format("{} AND {}", range, condition_))));
    result_.mismatches += std::max<std::uint64_t>(
        samples.size(), static_cast<std::uint64_t>(ports::to_int(count.rows.at(0)[0])));
    for (auto& sample : samples) {
      if (result_.samples.size() < static_cast<std::size_t>(options_.samples_max))
        result_.samples.push_back(std::move(sample));
    }
    return {};
  }

  // Reads up to kNamedMax rows out of step; key values column by column, for the next look.
  Status mismatching(const Leaf& leaf, const std::string& where, std::vector<std::vector<std::string>>& keys,
                     std::vector<std::string>& samples, bool bind = false) {
    std::string columns = key_text(shape_);
    for (const auto& column : shape_.key) columns += fmt::format(", {}::text", column.name);
    std::vector<ports::Cell> params;
    if (bind) {
      for (const auto& column : keys) params.push_back(ports::array_literal(column));
    }
    PL_TRY(
        const auto rows,
        session_.run(select(leaf, columns, fmt::format("({}) AND {} LIMIT {}", where, condition_, kNamedMax)),
                     std::move(params)));
    keys.assign(shape_.key.size(), {});
    samples.clear();
    for (const auto& row : rows.rows) {
      samples.push_back(ports::to_text(row[0]));
      for (std::size_t i = 0; i < shape_.key.size(); ++i) keys[i].push_back(ports::to_text(row[i + 1]));
    }
    return {};
  }

  // ("a", "b") IN (SELECT k1::bigint, k2::text FROM unnest($1, $2)): found by the index.
  std::string by_keys(const std::vector<std::vector<std::string>>& keys) const {
    std::string columns, casts, arrays, names;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const char* comma = i == 0 ? "" : ", ";
      columns += comma + shape_.key[i].name;
      casts += fmt::format("{}k{}::{}", comma, i, shape_.key[i].type);
      arrays += fmt::format("{}${}::text[]", comma, i + 1);
      names += fmt::format("{}k{}", comma, i);
    }
    return fmt::format("({}) IN (SELECT {} FROM unnest({}) AS u({}))", columns, casts, arrays, names);
  }

  void tell(TimePoint begin, double total, const ProgressCallback& progress) const {
    if (!progress) return;
    const double seconds = static_cast<double>((clock_.steady() - begin).count()) / 1000.0;
    Progress now;
    now.activity = "verify";
    now.rows_done = result_.rows;
    now.rows_total = std::max(result_.rows, static_cast<std::uint64_t>(total));
    now.rows_per_second = seconds > 0 ? static_cast<double>(result_.rows) / seconds : 0;
    progress(now);
  }

  ports::Session& session_;
  Clock& clock_;
  const change::InStep& in_step_;
  const VerifyOptions options_;
  const std::string condition_;
  TableShape shape_;
  VerifyResult result_;
};

}  // namespace

std::map<std::string, double> VerifyResult::figures() const {
  return {{"rows", static_cast<double>(rows)},
          {"mismatches", static_cast<double>(mismatches)},
          {"verify_seconds", seconds}};
}

Result<VerifyResult> verify(ports::Session& session, Clock& clock, const change::InStep& in_step,
                            const VerifyOptions& options, const StopToken& stop,
                            const ProgressCallback& progress) {
  return Verification(session, clock, in_step, options).run(stop, progress);
}

}  // namespace poundlock::engine
