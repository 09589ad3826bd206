// The files that plain flags come from: named ones, and those of named folders (*.json, *.yaml, *.yml, by
// name, hidden ones left out). Looked at again and again, so that a change in place, an atomic rename, a
// swapped link (Kubernetes) and a file that comes or goes are all the same thing: another content. A source
// that is away, or cannot be read, has said nothing: what it held last stays, also over a restart.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "client/override_file.h"
#include "server/flag_service.h"

namespace poundlock::server {

struct FlagSource {
  std::string path;  // a file or a folder
  std::string uri;   // what a selector calls it; "" for the path
};

// A file whose content does not count: its last good flags stay, where it had any.
struct RefusedFile {
  std::string path;
  std::string why;
  TimePoint since;  // when it was first refused without a break
};

// Used by one thread at a time.
class FlagSources {
 public:
  static constexpr std::size_t kFilesMax = 1'000;  // of all folders together

  // `flags` and `clock` outlive it. An empty `override_file` means none.
  FlagSources(std::vector<FlagSource> sources, std::string override_file, FlagService& flags,
              const Clock& clock);

  // Takes what is there now. Trouble is logged, once for each content; the last good flags stay.
  void reload();
  // The same for what was there at the last call already: a file that is just being written, or replaced by
  // an editor, is not taken half.
  void poll();

  // Sources that never gave a good set of flags, in this run or before. Any thread.
  std::vector<std::string> missing() const;
  // Files that are refused now, the override file among them, by path. Any thread.
  std::vector<RefusedFile> refused() const;

 private:
  struct Stamp {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size = -1, changed_ns = 0, status_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  using Text = std::shared_ptr<const std::string>;  // null: it cannot be read
  struct Seen {
    Stamp stamp;
    Text text;
    bool asked = false;
  };
  struct Reading {
    std::string path, uri;
    Text text;
    bool is_empty = false;  // a folder without a flag file
    bool operator==(const Reading& other) const;
  };
  struct Parsed {
    Text text;
    std::optional<boost::json::object> flags;
    std::string trouble;  // why there are none
  };

  std::vector<Reading> look();
  void look_at(const std::string& path, const FlagSource& source, std::vector<Reading>& out);
  Text read(const std::string& path);
  void take(std::vector<Reading> now);
  const std::optional<boost::json::object>& parse(const Reading& reading);
  void tell(const FlagFilesLoaded& loaded);
  void miss_all();
  void remember(const std::map<std::string, std::string>& refused);
  void remember_overrides(std::string trouble);
  void read_overrides();
  void poll_files();
  void tell_unheeded();

  const std::vector<FlagSource> sources_;
  FlagService& flags_;
  const Clock& clock_;
  const std::string override_path_;
  client::OverrideFile override_file_;
  std::string overrides_refused_;  // why the service did not take what the file says
  bool overrides_wanted_ = false;  // read, and not yet taken by the store
  std::map<std::string, Seen> seen_;
  // Device and inode of each when it held files last, in this run.
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> folders_;
  std::map<std::string, Parsed> parsed_;
  std::optional<std::vector<Reading>> taken_, pending_;
  std::string trouble_;  // logged already
  std::set<std::string> told_;
  std::set<std::string> told_unheeded_;
  flag::Revision told_at_;  // the set that told_unheeded_ is about
  mutable std::mutex mutex_;
  std::vector<std::string> missing_;
  std::map<std::string, RefusedFile> refused_;
};

}  // namespace poundlock::server
