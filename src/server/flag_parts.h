// The published flags by where they come from, and which of several definitions of one key counts: a
// rollout's before any other, then what was set by hand, then the files, of which a later one wins. Plain
// values; pure.
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "flag/report.h"
#include "server/flag_feed.h"

namespace poundlock::server {

using Overrides = std::map<std::string, std::string, std::less<>>;  // flag -> variant, "KEY" -> "off"

struct FlagParts {
  struct File {
    std::string path;
    std::string uri;  // as the source was named; of a folder's files the folder's
    boost::json::object flags;
    bool operator==(const File&) const = default;
  };
  std::map<std::string, boost::json::object> rollouts;  // by name; a closed one's are its tombstones
  boost::json::object by_hand;
  // Of keys set by hand whose file is away, or lost the key: the definition that the order was given against.
  boost::json::object vanished;
  std::vector<File> files;  // a later one wins

  bool operator==(const FlagParts&) const = default;
  const File* find_file(std::string_view path) const;
};

struct FlagInfo {
  std::string key;
  std::string owner;  // the rollout that steers it; "" for a plain flag
  boost::json::object definition;
  std::string source;      // the file that defines it; "" for a rollout's and for one set by hand
  std::string overridden;  // the variant that the override file gives everybody; "" for none
};

// A definition that does not count, and what counts instead.
struct Shadowed {
  std::string key, source, by;
  bool by_rollout = false;
  std::string to_string() const;
};

// Each key once, by key. An override holds until its rollout closes: from then on nothing may lead back.
std::vector<FlagInfo> effective_flags(const FlagParts& parts, const Overrides& overrides,
                                      const Selector& selector = {});
// One of them, without a look at the others.
std::optional<FlagInfo> effective_flag(const FlagParts& parts, const Overrides& overrides,
                                       std::string_view key);
// The names by which a selector can choose anything. Any other one chooses nothing: strangers can think of as
// many of those as they like, and none may cost a place or a walk through the flags.
struct SelectorNames {
  std::set<std::string, std::less<>> sets, sources;
  bool has(const Selector& selector) const;
};
SelectorNames selector_names(const FlagParts& parts);
// A line for each override that changes nothing, because of its flag or of its word.
std::vector<std::string> unheeded_overrides(const FlagParts& parts, const Overrides& overrides);
std::vector<Shadowed> shadowed_flags(const FlagParts& parts);

// Takes out of `next` the orders by hand that its files undo: only those of keys for which a file brings a
// definition that it did not have before. A key that vanished, and comes back as it was, undoes nothing: a
// folder that is unmounted for a moment must not turn on what was turned off.
void keep_orders(const FlagParts& before, FlagParts& next);
// Whether `file` lies directly in `folder`.
bool is_in_folder(const std::string& file, const std::string& folder);

// The form that the store keeps.
std::string to_json(const FlagParts& parts, flag::Revision revision);
Status from_json(std::string_view text, FlagParts& parts, flag::Revision& revision);

}  // namespace poundlock::server
