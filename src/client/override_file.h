// The local override: {"flags": {"KEY": "variant", ...}}. Development's way to walk through a flag's states,
// and the last resort when no server is up. Re-read when the file's identity, size or time changes; a file
// that cannot be read or understood leaves the last good overrides as they are. Used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace poundlock::client {

using Overrides = std::map<std::string, std::string, std::less<>>;

// Variants may be text, booleans ("on"/"off") or numbers. At most 64 KiB and 1,000 flags.
Result<Overrides> parse_overrides(std::string_view text, const std::string& file);

// The value that a word stands for: "on" and "true", "off" and "false"; nullopt: it is a variant's name.
std::optional<bool> value_of(std::string_view word);
// The variant, of `variants` by name, that a word means; "" where it means none. Of a boolean flag a word
// that stands for a value means a variant that has it, whatever its name: whether an order to be off holds
// must not depend on how somebody called the variants.
std::string_view variant_of(const json::Object& variants, std::string_view word);

class OverrideFile {
 public:
  explicit OverrideFile(std::string path) : path_(std::move(path)) {}
  // True where `overrides()` is now another one. An error is reported once for each state of the file.
  Result<bool> poll();
  const Overrides& overrides() const { return overrides_; }
  // What is wrong with the file as it is now; "" for nothing.
  const std::string& trouble() const { return trouble_; }

 private:
  struct Stamp {
    bool exists = false;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp stamp() const;
  Result<Overrides> read() const;

  std::string path_;
  std::string trouble_;
  Stamp seen_;
  Overrides overrides_;
};

}  // namespace poundlock::client
