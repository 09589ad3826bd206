// The local override: {"flags": {"KEY": "variant", ...}}. Development's way to walk through a flag's states,
// and the last resort when no server is up. Re-read when the file's identity, size or time changes; a file
// that cannot be read or understood leaves the last good overrides as they are. Used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace poundlock::client {

using Overrides = std::map<std::string, std::string, std::less<>>;

// Variants may be text, booleans ("on"/"off") or numbers. At most 64 KiB and 1,000 flags.
Result<Overrides> parse_overrides(std::string_view text, const std::string& file);

class OverrideFile {
 public:
  explicit OverrideFile(std::string path) : path_(std::move(path)) {}
  // True where `overrides()` is now another one. An error is reported once for each state of the file.
  Result<bool> poll();
  const Overrides& overrides() const { return overrides_; }

 private:
  struct Stamp {
    bool exists = false;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp stamp() const;

  std::string path_;
  Stamp seen_;
  Overrides overrides_;
};

}  // namespace poundlock::client
