#include "engine/failing_rows.h"

#include <fmt/format.h>

#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr std::size_t kKeysMax = 5;

// The error of the statement on these rows, or nothing. Locked rows are passed over: they are not the ones
// that fail, or another try finds them.
Result<std::optional<Error>> trial(ports::Session& session, const std::string& sql) {
  auto done = session.pipeline(std::vector<ports::Sql>{
      {"BEGIN", {}}, {"SELECT pg_catalog.set_config('lock_timeout', '20ms', true)", {}}, {sql, {}}});
  if (session.broken()) return fail(std::move(done).error());
  PL_CHECK(session.run("ROLLBACK"));
  if (done) return std::optional<Error>();
  if (is_data_error(done.error())) return std::optional(std::move(done).error());
  if (done.error().disposition == Disposition::kRetry) return std::optional<Error>();
  return fail(std::move(done).error());
}

}  // namespace

bool is_data_error(const Error& error) {
  static constexpr std::string_view kClasses[] = {"22", "23", "P0", "38", "39", "42", "0A"};
  for (const auto& prefix : kClasses) {
    if (error.sqlstate.starts_with(prefix) && error.disposition == Disposition::kUser) return true;
  }
  return false;
}

std::string FailingRows::to_string() const {
  std::string text;
  for (const auto& key : keys) text += (text.empty() ? "" : ", ") + key;
  return text.empty() ? reason : fmt::format("{}: {}", text, reason);
}

Result<FailingRows> find_failing_rows(ports::Session& session, const TableShape& shape, const Leaf& leaf,
                                      std::int64_t from_block, std::int64_t to_block,
                                      const std::function<std::string(const std::string&)>& statement) {
  FailingRows found;
  while (to_block - from_block > 1) {
    const std::int64_t middle = from_block + (to_block - from_block) / 2;
    PL_TRY(const auto error, trial(session, statement(block_range(shape, from_block, middle))));
    (error ? to_block : from_block) = middle;
  }
  PL_TRY(const auto rows, session.run(fmt::format("SELECT ctid, {} FROM {} WHERE {}", key_text(shape),
                                                  leaf.name, block_range(shape, from_block, to_block))));
  for (const auto& row : rows.rows) {
    if (found.keys.size() >= kKeysMax) break;
    PL_TRY(const auto error,
           trial(session, statement(fmt::format("ctid = '{}'::pg_catalog.tid", ports::to_text(row[0])))));
    if (!error) continue;
    if (found.keys.empty()) found.reason = error->message;
    found.keys.push_back(ports::to_text(row[1]));
  }
  return found;
}

}  // namespace poundlock::engine
