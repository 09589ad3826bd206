// The simulated table's schema: two columns and whatever objects a change of a column makes, with an
// interpreter of the few forms of DDL that change/ generates. A form that it does not know is an error, so
// that a new kind of step cannot go by unsimulated. Values; one thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace poundlock::sim {

struct SimColumn {
  bool exists = false;
  bool not_null = false;
  bool has_default = false;
  bool operator==(const SimColumn&) const = default;
};

struct SimSchema {
  std::string legacy_name, fresh_name;
  SimColumn legacy, fresh;
  std::map<std::string, bool> indexes;           // name -> valid
  std::map<std::string, bool> constraints;       // name -> validated
  std::map<std::string, std::string> functions;  // qualified name -> mode: "off", "legacy" or "fresh" (the
                                                 // one authority), "both", "new"
  std::set<std::string> triggers;
  std::set<std::string> sequences;
  bool operator==(const SimSchema&) const = default;

  // How the trigger treats a write; "" where there is no trigger or no function.
  std::string sync_mode() const;
  std::string text() const;  // one line, for traces and comparisons
};

struct DdlResult {
  bool understood = false;
  bool already_exists = false;  // 42P07 or 42701: a plain CREATE or ADD of what is there
  std::string lock;             // table lock that the statement takes; "" for none
};

// Table lock that the statement needs, found without running it.
DdlResult classify_ddl(std::string_view sql);
// Runs it. CREATE INDEX CONCURRENTLY makes a valid index at once; the caller simulates a broken build.
DdlResult apply_ddl(SimSchema& schema, std::string_view sql);

// The value in double quotes that follows `after`; "" where there is none.
std::string quoted_after(std::string_view sql, std::string_view after);

}  // namespace poundlock::sim
