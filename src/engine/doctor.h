// What a database allows: probes that any role may make, what is lost for each missing capability, what
// stands in for it, and the GRANT script. Reads only; settings are tried with SET LOCAL and rolled back.
// A query that this role may not make is a finding, never an error. One thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ports/database.h"
#include "schema/identifier.h"

namespace poundlock::engine {

enum class Presence {
  kYes,
  kLimited,  // there, with something lost
  kNo,
  kUnknown,  // could not be found out
};
const char* to_string(Presence presence);  // "yes", "limited", "no", "unknown"

struct Capability {
  std::string id;  // stable: "ownership", "pg_stat_statements"
  std::string title;
  Presence presence = Presence::kUnknown;
  bool needed = false;              // without it a rollout cannot run
  std::string detail;               // what was seen
  std::string lost;                 // without it; "" where present
  std::string stand_in;             // what does its work instead; "" where nothing does
  std::vector<std::string> grants;  // SQL, or comments where SQL cannot do it; run by an administrator
};

struct Examination {
  std::string database;
  std::string version;  // "15.14"
  int version_num = 0;
  std::string role;
  std::string provider;       // "rds", "aurora", "cloudsql", "azure", "supabase", "neon", "plain"
  std::string administrator;  // who can run the script there: "a superuser", "the role rds_superuser"
  std::vector<Capability> capabilities;

  bool ok() const;                          // everything needed is there
  std::vector<std::string> grants() const;  // of all, each once, in order
};

struct ExaminationOptions {
  std::vector<schema::QualifiedName> tables;  // empty: every table outside system schemas
};

// Errors: those of the session (a broken connection). Uses search_path pg_catalog, as our sessions have it.
Result<Examination> examine(ports::Session& session, const ExaminationOptions& options = {});

// What is known of a replica or a shadow: a session, or why there is none.
struct Reached {
  std::string name;  // as described: "app at replica1:5432"
  ports::Session* session = nullptr;
  std::string trouble;
};
Capability examine_replicas(const std::vector<Reached>& replicas);

enum class ShadowKind { kNone, kMade, kGiven, kCommanded };
// `given` only for kGiven. What a command makes is only known once it ran. A made shadow needs CREATEDB,
// which `examination` tells.
Capability examine_shadow(ShadowKind kind, const std::optional<Reached>& given,
                          const Examination& examination);

}  // namespace poundlock::engine
