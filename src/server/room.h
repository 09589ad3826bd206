// How many connections this process can hold, by the files that the system lets it open, and who gets them.
// Descriptors are kept for databases, files and the store. HTTP, where orders come in, has a share that
// gRPC's readers cannot take, and some of it is not for streams: a fleet must not lock out the order that it
// needs.
#pragma once

#include <cstddef>

namespace poundlock::server {

struct Room {
  std::size_t http = 0;
  std::size_t grpc = 0;
  std::size_t http_streams() const { return http - http / 8; }
};

Room share_room(std::size_t files, bool with_grpc);
Room room_here(bool with_grpc);  // by this process's limit as it is now

}  // namespace poundlock::server
