// Lint of migrations as their tools run them: each source in the transaction that its tool gives it, with its
// findings at their places in the file. Pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lint/lint.h"
#include "migration/source.h"

namespace poundlock::migration {

// All that the file holds. What cannot be read is a finding ("encoding", "migration_file", "syntax"), never
// an error. The sources that were read are added to `sources` without their SQL, for same_versions(). Where a
// tool is known, options.in_transaction gives way to what the tool does.
lint::Report lint_file(std::string_view bytes, const std::string& file, std::optional<std::string_view> conf,
                       const lint::Options& options, std::vector<Source>& sources);

// Adds a finding to the report of the second file of each clash.
void add_same_versions(std::span<const Source> sources, std::span<lint::Report> reports);

}  // namespace poundlock::migration
