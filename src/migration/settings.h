// What a script has SET, and for how long it holds: each step has a session of its own and is given it anew.
// One script after the other, one thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "schema/sql.h"

namespace poundlock::migration {

class Settings {
 public:
  struct Setting {
    std::string name;
    std::string text;  // "search_path = app"
    bool local = false;
    std::vector<std::string> path;  // of search_path
  };

  const std::vector<Setting>& all() const { return settings_; }
  // Of the script's search_path the schemas that it names; null: it has set none.
  const std::vector<std::string>* path() const;
  // The first that is no search_path; null: there is none.
  const Setting* other() const;

  void clear() { settings_.clear(); }
  void end_transaction();
  // SET and RESET. Time-outs come with each step and are passed over. Errors (kUser) without the file and
  // line: a role, and a search_path that does not tell where a name is.
  Status take(const schema::Statement& statement);

 private:
  std::vector<Setting> settings_;
};

}  // namespace poundlock::migration
