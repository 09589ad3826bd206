#include "cli/demo/lost_writes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

namespace poundlock::cli {
namespace {

constexpr std::size_t kChunk = 5'000;

struct Event {
  std::uint64_t sequence = 0;
  char kind = 'I';
  std::string status;
};
using Rows = std::map<std::int64_t, std::vector<Event>>;  // each row has one writer

// A line that is not whole yet (the writer is writing it) is left for the next reading.
Rows read_journals(const std::string& directory) {
  Rows out;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.path().extension() != ".journal") continue;
    std::ifstream in(entry.path());
    std::string line;
    while (std::getline(in, line) && !in.eof()) {
      std::istringstream words(line);
      std::int64_t id = 0;
      Event event;
      if (words >> event.kind >> event.sequence >> id >> event.status) out[id].push_back(std::move(event));
    }
  }
  return out;
}

const Event* last_acknowledged(const std::vector<Event>& events) {
  const Event* last = nullptr;
  for (const auto& event : events)
    if (event.kind == 'A' && (!last || event.sequence > last->sequence)) last = &event;
  return last;
}

// `later` is the journal read after the table: what was under way meanwhile may be in the row already.
bool right(const std::string& value, const Event& acknowledged, const std::vector<Event>& later) {
  if (value == acknowledged.status) return true;
  return std::any_of(later.begin(), later.end(), [&](const Event& event) {
    return event.sequence > acknowledged.sequence && event.kind != 'F' && event.status == value;
  });
}

Result<std::map<std::int64_t, std::string>> read_values(ports::Session& session, const std::string& column,
                                                        const std::vector<std::int64_t>& ids) {
  std::map<std::int64_t, std::string> out;
  for (std::size_t at = 0; at < ids.size(); at += kChunk) {
    std::string list = "{";
    for (std::size_t i = at; i < std::min(at + kChunk, ids.size()); ++i)
      list += fmt::format("{}{}", i > at ? "," : "", ids[i]);
    PL_TRY(const auto rows,
           session.run(ports::Sql{
               fmt::format("SELECT id, {} FROM public.orders WHERE id = ANY($1::bigint[])", column),
               {list + "}"}}));
    for (const auto& row : rows.rows)
      out[std::atoll(row.at(0).value_or("0").c_str())] = row.at(1).value_or("(null)");
  }
  return out;
}

}  // namespace

Result<JournalCheck> check_journals(ports::Session& session, const std::string& directory,
                                    const std::string& column) {
  const Rows before = read_journals(directory);
  std::vector<std::int64_t> ids;
  for (const auto& [id, events] : before)
    if (last_acknowledged(events)) ids.push_back(id);
  PL_TRY(const auto values, read_values(session, column, ids));
  const Rows after = read_journals(directory);
  JournalCheck out;
  for (const std::int64_t id : ids) {
    out.rows += 1;
    const Event& acknowledged = *last_acknowledged(before.at(id));
    const auto value = values.find(id);
    const auto later = after.find(id);
    if (value != values.end() &&
        right(value->second, acknowledged, later == after.end() ? before.at(id) : later->second))
      continue;
    out.lost += 1;
    if (out.first.empty()) {
      out.first = fmt::format("row {} holds {}, acknowledged was {}", id,
                              value == values.end() ? "nothing" : value->second, acknowledged.status);
    }
  }
  return out;
}

}  // namespace poundlock::cli
