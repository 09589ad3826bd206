#include "base/ids.h"

#include <gtest/gtest.h>

namespace poundlock {
namespace {

TEST(Ids, HexRoundTrip) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const std::string text = to_hex(bytes);
  EXPECT_EQ(text.substr(0, 6), "000102");
  EXPECT_EQ(text.substr(508), "feff");
  EXPECT_EQ(parse_hex(text).value(), bytes);
  EXPECT_EQ(parse_hex("0aFF").value(), "\x0a\xff");
  EXPECT_EQ(parse_hex("").value(), "");
}

TEST(Ids, BadHexIsRefusedWithoutRepeatingIt) {
  for (const char* text : {"0", "abc", "0g", " 0", "0x", "\xff\xff"}) {
    const auto bytes = parse_hex(text);
    ASSERT_FALSE(bytes) << text;
    EXPECT_EQ(bytes.error().code, "hex.invalid");
    EXPECT_EQ(bytes.error().message.find(std::string("'") + text), std::string::npos);
  }
}

TEST(Ids, ConstantTimeEqualComparesEveryByte) {
  EXPECT_TRUE(constant_time_equal("", ""));
  EXPECT_TRUE(constant_time_equal("secret", "secret"));
  EXPECT_FALSE(constant_time_equal("secret", "secreT"));
  EXPECT_FALSE(constant_time_equal("secret", "Secret"));
  EXPECT_FALSE(constant_time_equal("secret", "secret2"));
  EXPECT_FALSE(constant_time_equal(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

}  // namespace
}  // namespace poundlock
