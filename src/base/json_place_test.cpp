#include "base/json_place.h"

#include <gtest/gtest.h>

namespace poundlock::json {
namespace {

TEST(JsonPlace, FindsMembersItemsAndKeys) {
  const std::string_view text = R"( {"a]": [1, {"x": "}"}, [] , 4], "\u0062": {"c": null}} )";
  const Place root;
  const Place list = root.member("a]");
  EXPECT_EQ(offset_of(text, root), text.find('{'));
  EXPECT_EQ(offset_of(text, list), text.find('['));
  EXPECT_EQ(offset_of(text, list.item(3)), text.find('4'));
  const Place inner = list.item(1);
  EXPECT_EQ(offset_of(text, inner.member("x")), text.find("\"}\""));
  EXPECT_EQ(offset_of(text, inner.key_of("x")), text.find("\"x\""));
  const Place escaped = root.member("b");
  EXPECT_EQ(offset_of(text, escaped.member("c")), text.find("null"));
}

TEST(JsonPlace, WhatIsNotThereIsSaidToBeAroundIt) {
  const std::string_view text = R"({"a": [1]})";
  const Place root;
  const Place list = root.member("a");
  EXPECT_EQ(offset_of(text, list.item(1)), text.find('['));
  EXPECT_EQ(offset_of(text, list.member("k")), text.find('['));
  EXPECT_EQ(offset_of(text, root.member("b")), 0u);
  EXPECT_EQ(offset_of("", root.member("b")), 0u);
}

}  // namespace
}  // namespace poundlock::json
