// The value of one setting at each statement of a script: SET, SET LOCAL, RESET, SET SCHEMA, set_config(),
// DISCARD ALL, and what the end of a transaction or a ROLLBACK TO makes of them.
// Made once for each call to lint(); constant then, thread-safe.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/sql.h"

namespace poundlock::lint {

struct SettingValue {
  enum class Source { kDefault, kScript, kUnknown };  // the session's own; the script's; nobody can tell
  Source source = Source::kDefault;
  std::vector<std::string> words;  // of kScript: the values as they were written, without quotes
  std::size_t since = 0;           // of kUnknown: the statement that set it
  bool operator==(const SettingValue&) const = default;
};

class Setting {
 public:
  // `wrapped`: the runner has put a transaction of its own around the script.
  Setting(std::string_view name, const schema::Script& script, bool wrapped);

  const SettingValue& before(std::size_t statement) const;  // in force while that statement runs

 private:
  std::vector<std::pair<std::size_t, SettingValue>> changes_;  // by the first statement that it holds for
};

}  // namespace poundlock::lint
