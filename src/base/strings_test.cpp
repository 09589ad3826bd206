#include "base/strings.h"

#include <gtest/gtest.h>

namespace poundlock {
namespace {

TEST(Strings, Utf8IsJudgedByItsStandard) {
  constexpr auto kFine = std::string_view::npos;
  for (const char* text : {"", "ascii", "é", "€", "😀", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"}) {
    EXPECT_EQ(first_invalid_utf8(text), kFine) << text;
  }
  // Overlong, surrogate, above the last plane, lone continuation, cut short, no such byte.
  for (const char* text :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
        "\x80", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xF5", "\xFF", "\xE2\x28\xA1"}) {
    EXPECT_EQ(first_invalid_utf8(std::string("ab") + text), 2U) << text;
  }
}

TEST(Strings, PositionsCountCharacters) {
  EXPECT_EQ(position_at("abc", 0, "f"), (SourcePosition{"f", 1, 1}));
  EXPECT_EQ(position_at("é\nüx", 5, "f"), (SourcePosition{"f", 2, 2}));
  EXPECT_EQ(position_at("a\n", 99, "f"), (SourcePosition{"f", 2, 1}));
}

TEST(Strings, QuotedTextIsCutAndHarmless) {
  EXPECT_EQ(quote_for_message("plain"), "'plain'");
  EXPECT_EQ(quote_for_message("a\nb\t\x1b[31m\x7f"), "'a\\nb\\t\\x1b[31m\\x7f'");
  EXPECT_EQ(quote_for_message("abcdef", 3), "'abc...'");
  EXPECT_EQ(quote_for_message("abé", 3), "'ab...'");  // never half a character
}

TEST(Strings, SameTextIsEquality) {
  const std::string text = "abcdefghijklmnopqrstuvwxyz";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const std::string_view whole = std::string_view(text).substr(0, size);
    EXPECT_TRUE(same_text(whole, std::string(whole))) << size;
    EXPECT_FALSE(same_text(whole, text + "!")) << size;
    for (std::size_t i = 0; i < size; ++i) {
      std::string other(whole);
      other[i] = '#';
      EXPECT_FALSE(same_text(whole, other)) << size << " at " << i;
    }
  }
}

}  // namespace
}  // namespace poundlock
