// What a database is beside its content, and CREATE DATABASE does not take over: encoding and locales,
// settings of ALTER DATABASE ... SET and ALTER ROLE ... IN DATABASE ... SET, rights. A shadow without them
// sorts, finds its tables and times out otherwise than the database that it stands for.
// Sources: PostgreSQL's documentation of pg_database, pg_db_role_setting, CREATE DATABASE, GRANT.
#pragma once

#include <string>
#include <vector>

#include "ports/database.h"

namespace poundlock::postgres {

struct DatabaseSetting {
  std::string role;  // "" for every role
  std::string name;
  std::string value;              // as pg_db_role_setting has it: a list's words are quoted
  std::string to_string() const;  // "work_mem" or "work_mem of the role app"
};

struct DatabaseRight {
  std::string role;  // "" for PUBLIC
  std::string right;
  bool grantable = false;
};

struct DatabaseTraits {
  std::string locale;  // the options of CREATE DATABASE that say encoding, provider and locales
  std::vector<DatabaseSetting> settings;  // without the mark of a shadow
  bool has_rights = false;                // false: as every new database has them
  std::vector<DatabaseRight> rights;      // without those of the role that reads them
};

// Of the database `name` of the session's server.
Result<DatabaseTraits> read_traits(ports::Session& session, const std::string& name);

// What these leave out since the role may not set it, or since it names what is not there: for people.
Result<std::vector<std::string>> write_settings(ports::Session& session, const std::string& database,
                                                const std::vector<DatabaseSetting>& settings);
Result<std::vector<std::string>> write_rights(ports::Session& session, const std::string& database,
                                              const DatabaseTraits& traits);
// Back to none; what cannot be taken back any more is gone with its role.
Status reset_settings(ports::Session& session, const std::string& database,
                      const std::vector<DatabaseSetting>& settings);

// No time-out and no read-only default of the database or the role for what this session does from here on:
// they are the application's, and a copy takes as long as it takes.
Status unhinder(ports::Session& session);

}  // namespace poundlock::postgres
