// plan --write: a plan as files, all of them or none, and nothing over what is there unless told to. One
// thread.
#pragma once

#include "cli/context.h"
#include "migration/write.h"

namespace poundlock::cli {

struct PlanWriting {
  std::string path;    // a file, or a folder for formats of several files
  std::string format;  // "" by the path and ddl_owner: .yaml a rollout, .sql a script, else Flyway's files
  migration::WriteOptions options;
  bool force = false;
};

// What would be written, and how: for the rows of the tool's history.
struct PlannedFiles {
  migration::Format format = migration::Format::kSql;
  migration::WriteOptions options;
  std::vector<migration::WrittenFile> files;
};
Result<PlannedFiles> planned_files(const Context& context, const migration::SqlPlan& plan,
                                   const PlanWriting& writing);

// The files' names, as they stand on the disk.
struct WrittenPlan {
  std::vector<std::string> files;
  std::vector<std::string> contract;  // those of `files` that must not be deployed together with the others
};

// kConflict "plan.exists", and "plan.version" where the tool has run, or may have run, a later one; kUser
// where the plan cannot be written so.
Result<WrittenPlan> write_plan_files(const Context& context, const migration::SqlPlan& plan,
                                     const PlanWriting& writing);
void remove_plan_files(const Context& context, const std::vector<std::string>& written);

}  // namespace poundlock::cli
