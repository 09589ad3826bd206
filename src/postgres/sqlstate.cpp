#include "postgres/sqlstate.h"

#include <array>

namespace poundlock::postgres {
namespace {

struct Entry {
  std::string_view state;  // five characters, or two for a whole class
  Disposition disposition;
  std::string_view code;  // empty: "pg." and the SQLSTATE
  std::string_view hint;
};

// Exact codes first: the first entry that fits wins.
constexpr std::array kEntries{
    Entry{kStaleGenerationState, Disposition::kConflict, "generation.stale",
          "another executor has taken this rollout over; stop this one"},
    Entry{"55P03", Disposition::kRetry, "pg.lock_timeout", ""},
    Entry{"57014", Disposition::kRetry, "pg.canceled", ""},
    Entry{"40001", Disposition::kRetry, "pg.serialization", ""},
    Entry{"40P01", Disposition::kRetry, "pg.deadlock", ""},
    Entry{"53100", Disposition::kRetry, "pg.disk_full", "free space on the database server"},
    Entry{"53300", Disposition::kRetry, "pg.too_many_connections", "raise max_connections or close sessions"},
    Entry{"53", Disposition::kRetry, "", ""},
    Entry{"25006", Disposition::kUser, "pg.read_only", "connect to the primary, not to a standby"},
    Entry{"42501", Disposition::kUser, "pg.privilege", "`poundlock doctor` prints the GRANT script"},
    Entry{"0A000", Disposition::kUser, "", ""},
    Entry{"XX", Disposition::kInternal, "", ""},
    Entry{"25", Disposition::kInternal, "", ""},
    Entry{"08", Disposition::kReconnect, "pg.connection", ""},
};

}  // namespace

StateMeaning meaning_of(std::string_view sqlstate) {
  for (const auto& entry : kEntries) {
    if (!sqlstate.starts_with(entry.state)) continue;
    std::string code = entry.code.empty() ? "pg." + std::string(sqlstate) : std::string(entry.code);
    return {entry.disposition, std::move(code), std::string(entry.hint)};
  }
  return {Disposition::kUser, "pg." + std::string(sqlstate), ""};
}

bool ends_session(std::string_view sqlstate) {
  // 25P03 is idle_in_transaction_session_timeout and 57P05 idle_session_timeout: both FATAL.
  return sqlstate.starts_with("57P") || sqlstate == "25P03" || sqlstate.starts_with("08");
}

}  // namespace poundlock::postgres
