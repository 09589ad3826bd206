#include "base/murmur3.h"

#include <gtest/gtest.h>

#include <string>

namespace poundlock {
namespace {

// Published test vectors of the algorithm: every tail length, seeds, bytes with the top bit set.
TEST(Murmur3, AgreesWithThePublishedVectors) {
  EXPECT_EQ(murmur3_x86_32("", 0), 0U);
  EXPECT_EQ(murmur3_x86_32("", 1), 0x514E28B7U);
  EXPECT_EQ(murmur3_x86_32("", 0xffffffff), 0x81F16F39U);
  EXPECT_EQ(murmur3_x86_32("\xff\xff\xff\xff", 0), 0x76293B50U);
  EXPECT_EQ(murmur3_x86_32("\x21\x43\x65\x87", 0), 0xF55B516BU);
  EXPECT_EQ(murmur3_x86_32("\x21\x43\x65\x87", 0x5082EDEE), 0x2362F9DEU);
  EXPECT_EQ(murmur3_x86_32("\x21\x43\x65", 0), 0x7E4A8634U);
  EXPECT_EQ(murmur3_x86_32("\x21\x43", 0), 0xA0F7B07AU);
  EXPECT_EQ(murmur3_x86_32("\x21", 0), 0x72661CF4U);
  EXPECT_EQ(murmur3_x86_32(std::string_view("\0\0\0\0", 4), 0), 0x2362F9DEU);
  EXPECT_EQ(murmur3_x86_32("hello", 0), 613153351U);
  EXPECT_EQ(murmur3_x86_32("Hello, world!", 0x9747b28c), 0x24884CBAU);
  EXPECT_EQ(murmur3_x86_32("The quick brown fox jumps over the lazy dog", 0x9747b28c), 0x2FA826CDU);
}

TEST(Murmur3Prefix, HashesAsIfTheTwoWereOneText) {
  const std::string text = "schema_v2_migration\xff customer-107919";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const std::string_view whole(text.data(), size);
    for (std::size_t cut = 0; cut <= size; ++cut) {
      EXPECT_EQ(Murmur3Prefix(whole.substr(0, cut), 7).hash_with(whole.substr(cut)), murmur3_x86_32(whole, 7))
          << size << " cut at " << cut;
    }
  }
}

}  // namespace
}  // namespace poundlock
