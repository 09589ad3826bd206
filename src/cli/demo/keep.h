// What a kept demo leaves beside its files so that a person can use it and end it: DIR/stop, which ends what
// runs and removes both folders, and DIR/environment, which sets what poundlock.yaml takes from there.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "base/result.h"

namespace poundlock::cli {

struct Kept {
  std::string directory;  // of the demo's files; every program's command line but the servers' names it
  std::string cluster;    // of the private servers: data and replica
  pid_t server = -1;      // poundlockd
  pid_t application = -1;
};

// The text of DIR/stop. It signals no process whose command line does not name what we started, since a pid
// may be somebody else's by then, and it removes nothing while one of them still runs.
std::string stop_script(const Kept& kept);

// Writes DIR/stop (0700) and DIR/environment (0600).
Status write_keep_files(const Kept& kept, const std::map<std::string, std::string>& variables);

}  // namespace poundlock::cli
