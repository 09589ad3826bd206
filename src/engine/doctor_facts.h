// What the doctor asks, as it was answered. Filled by read_facts(), judged by doctor.cpp. Plain values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/doctor.h"

namespace poundlock::engine::doctor {

struct TableFact {
  schema::QualifiedName name;
  std::string owner;
  bool owner_is_superuser = false;
  bool owned = false;       // this role has the owner's rights
  bool may_create = false;  // in the table's schema: an index needs it
};

struct HelperFact {
  std::string object;  // as ALTER wants it: "TABLE poundlock.ledger"
  std::string owner;
  bool owner_is_superuser = false;
};

struct Facts {
  std::string database, version, role, database_owner;
  int version_num = 0;
  bool superuser = false, createdb = false;
  bool standby = false, read_only = false;
  bool may_create_schema = false;
  bool helper_schema = false, helper_schema_owned = false;
  std::vector<HelperFact> foreign_helpers;  // the schema itself first
  bool reads_all_stats = false, reads_all_settings = false;
  std::string wal_level, track_activities, track_counts;
  long activity_query_size = 0;
  std::vector<std::string> provider_roles;  // those of known providers that exist
  bool aurora = false;
  std::optional<std::string> preloaded;  // shared_preload_libraries; nullopt: not readable

  std::vector<TableFact> tables;
  std::vector<std::string> missing_tables;

  bool statements_installed = false;
  std::string statements_schema;  // quoted
  bool statements_answer = false;
  std::string statements_trouble;
  long statements_hidden = 0;    // texts of other roles that are not shown
  std::string statements_track;  // pg_stat_statements.track

  long standbys = 0, standbys_visible = 0;
  bool lock_timeout_settable = false, statement_timeout_settable = false;
  bool deadlock_timeout_settable = false, connection_check_settable = false;
};

Result<Facts> read_facts(ports::Session& session, const ExaminationOptions& options);

}  // namespace poundlock::engine::doctor
