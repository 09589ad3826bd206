// Who gets how many of the descriptors.
#include "server/room.h"

#include <gmock/gmock.h>

namespace poundlock::server {
namespace {

TEST(Room, GrpcNeverTakesWhatHttpNeeds) {
  for (const std::size_t files : {16U, 64U, 512U, 1'024U, 4'096U, 20'000U, 1'000'000U}) {
    const Room both = share_room(files, true);
    EXPECT_GE(both.http, both.grpc) << files;
    EXPECT_GE(both.grpc, files < 20'000 ? files / 4 : 9'000) << files;
    EXPECT_LE(both.http + both.grpc, files - std::min<std::size_t>(256, files / 4)) << files;
    EXPECT_LT(both.http_streams(), both.http + (files < 32)) << "one stream fewer than connections";
    EXPECT_EQ(share_room(files, false).grpc, 0U);
  }
  EXPECT_EQ(share_room(1'000'000, true).grpc, 12'000U);
  EXPECT_EQ(share_room(512, false).http, 384U);
}

}  // namespace
}  // namespace poundlock::server
