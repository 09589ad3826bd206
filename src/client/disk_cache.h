// The last good flag document in a file, so that an application that starts while no server answers
// still stands where it stood. Written beside and renamed, with a checksum: a reader sees the old file
// or the new one, and a torn one is refused. Thread-safe apart from two writers in one process.
//   poundlock-snapshot 1 EPOCH REVISION BYTES FNV1A64\n<document>
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "flag/report.h"

namespace poundlock::client {

struct CachedDocument {
  std::string document;
  flag::Revision revision;
};

Status write_cache(const std::string& path, std::string_view document, flag::Revision revision);
// Nothing where there is no such file; an error where it cannot be read or is damaged.
Result<std::optional<CachedDocument>> read_cache(const std::string& path, std::size_t bytes_max);

// A whole file of at most `bytes_max`; nothing where there is none.
Result<std::optional<std::string>> read_bounded(const std::string& path, std::size_t bytes_max);

}  // namespace poundlock::client
