#include "server/room.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace poundlock::server {
namespace {

constexpr std::size_t kConnectionsMax = 12'000;  // of each protocol
constexpr std::size_t kFilesKept = 256;

}  // namespace

Room share_room(std::size_t files, bool with_grpc) {
  const std::size_t free = files - std::min(kFilesKept, files / 4);
  Room out;
  if (with_grpc) out.grpc = std::min(kConnectionsMax, free / 2);
  out.http = std::min(kConnectionsMax, free - out.grpc);
  return out;
}

Room room_here(bool with_grpc) {
  rlimit files{};
  const bool known = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY;
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
  return share_room(known ? static_cast<std::size_t>(files.rlim_cur) : kAny, with_grpc);
}

}  // namespace poundlock::server
