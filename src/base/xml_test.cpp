#include "base/xml.h"

#include <gmock/gmock.h>

namespace poundlock {
namespace {

TEST(Xml, EscapesWhatAnAttributeCannotHold) {
  EXPECT_EQ(xml_escaped("a < b & c > \"d\" 'é'"), "a &lt; b &amp; c &gt; &quot;d&quot; 'é'");
  EXPECT_EQ(xml_escaped("one\r\n\ttwo"), "one&#13;&#10;&#9;two");
  EXPECT_EQ(xml_escaped(std::string_view("\x1b[31m\0", 6)), "?[31m?");
  EXPECT_EQ(xml_escaped(""), "");
}

}  // namespace
}  // namespace poundlock
