#include "cli/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/bar.h"
#include "cli/live.h"
#include "cli/table.h"

namespace poundlock::cli {
namespace {

using testing::ElementsAre;

TEST(Text, WidthCountsCellsAndNotBytes) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("Größe"), 5);
  EXPECT_EQ(display_width("注文"), 4);
  EXPECT_EQ(display_width("e\xCC\x81"), 1);  // e and a combining accent
  EXPECT_EQ(display_width("\xFF\xC3"), 2);   // no UTF-8: one each
}

TEST(Text, CleanTakesAwayWhatSteersATerminal) {
  EXPECT_EQ(clean("a\x1b[31mred\x1b[0m b"), "ared b");
  EXPECT_EQ(clean("a\x1b]0;title\x07z"), "az");
  EXPECT_EQ(clean("one\ntwo\tthree\r"), "one two three");
  EXPECT_EQ(clean("x\xE2\x80\xAEy"), "xy");  // right-to-left override
  EXPECT_EQ(clean("x\xC2\x9Bm"), "xm");      // the one-character form of ESC [
  EXPECT_EQ(clean("\x1b"), "");
  EXPECT_EQ(clean("caf\xC3\xA9 \xFF"), "caf\xC3\xA9 \xEF\xBF\xBD");
  EXPECT_EQ(clean_lines("a\n\x1b[2Jb"), "a\nb");
}

TEST(Text, FitCutsAtACharacter) {
  EXPECT_EQ(fit("Größe", 5), "Größe");
  EXPECT_EQ(fit("Größen", 5), "Größ…");
  EXPECT_EQ(fit("注文書", 4), "注…");
  EXPECT_EQ(fit("abc", 0), "");
}

TEST(Text, WrapBreaksAtSpacesAndLosesNothing) {
  EXPECT_THAT(wrap("the lock is held by 41", 10), ElementsAre("the lock", "is held by", "41"));
  EXPECT_THAT(wrap("abcdefghij", 4), ElementsAre("abcd", "efgh", "ij"));
  EXPECT_THAT(wrap("", 4), ElementsAre(""));
  EXPECT_THAT(wrap("注文", 1), ElementsAre("注", "文"));  // wider than the room: still ends
}

TEST(Table, AlignsByDisplayWidthWithoutTrailingSpace) {
  Table table({"name", Column("rows", Align::kRight), "note"});
  table.add({"注文", "1", "a"});
  table.add({"orders", "12,000"});
  EXPECT_EQ(table.render(Paint(false), 0),
            "name      rows  note\n"
            "注文         1  a\n"
            "orders  12,000\n");
}

TEST(Table, WrapsTheWidestColumnWhereTheTerminalIsNarrow) {
  Table table({"gate", "reason"});
  table.add({"replication_lag", "every replica is within 50 ms of the primary"});
  const std::string text = table.render(Paint(false), 40);
  EXPECT_EQ(text,
            "gate             reason\n"
            "replication_lag  every replica is within\n"
            "                 50 ms of the primary\n");
}

TEST(Table, IsNeverWiderThanTheTerminal) {
  Table table({"capability", "present", "seen", "lost without it", "what stands in"});
  table.add({"replication_slots", "NO, needed", "max_replication_slots is 0", "the lag of each replica",
             "pg_stat_replication"});
  for (const int width : {120, 80, 60, 40, 30}) {
    const std::string text = table.render(Paint(false), width);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      EXPECT_LE(display_width(text.substr(at, end - at)), width) << text;
      at = end + 1;
    }
  }
}

TEST(Table, CleansItsCellsAndPaintsTextOnly) {
  Table table({"a", "b"});
  table.add({Cell("x\x1b[2Jy", Colour::kRed), "z"});
  EXPECT_EQ(table.render(Paint(true), 0),
            "\x1b[1ma\x1b[0m   \x1b[1mb\x1b[0m\n"
            "\x1b[31mxy\x1b[0m  z\n");
}

TEST(Bar, ShowsTheShareAndIsFullOnlyAtTheEnd) {
  EXPECT_EQ(bar(0, 12, false), "[..........]");
  EXPECT_EQ(bar(0.5, 12, false), "[#####.....]");
  EXPECT_EQ(bar(0.999, 12, false), "[#########.]");
  EXPECT_EQ(bar(1, 12, false), "[##########]");
  EXPECT_EQ(bar(7, 12, false), "[##########]");
  EXPECT_EQ(bar(0.0 / 0.0 * 1, 12, false), "[..........]");
  EXPECT_EQ(bar(0.0001, 4, true), "▏░░░");
  EXPECT_EQ(bar(0.5, 3, true), "█▌░");
  EXPECT_EQ(bar(1, 3, true), "███");
}

TEST(Bar, NumbersForPeople) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1234567.4), "1,234,567");
  EXPECT_EQ(format_count(-1200), "-1,200");
  EXPECT_EQ(format_percent(0.255), "25.5 %");
  EXPECT_EQ(format_percent(0.0001), "0.01 %");
  EXPECT_EQ(format_percent(0.99999), "99.99 %");
  EXPECT_EQ(format_percent(1), "100 %");
  EXPECT_EQ(format_number(0.00042), "0.00042");
  EXPECT_EQ(format_number(14.98765), "14.99");
}

TEST(Bar, RemainingTimeOnlyWhereItCanBeSaid) {
  EXPECT_EQ(remaining(50, 150, 10), Millis{10'000});
  EXPECT_EQ(remaining(150, 100, 10), Millis{0});
  EXPECT_FALSE(remaining(1, 100, 0));
  EXPECT_FALSE(remaining(1, 0, 5));
  EXPECT_FALSE(remaining(0, 1e30, 1e-9));
  EXPECT_EQ(format_remaining(Millis{12'000}), "12s");
  EXPECT_EQ(format_remaining(Millis{100'000}), "1m40s");
  EXPECT_EQ(format_remaining(Millis{7'500'000}), "2h05m");
  EXPECT_EQ(format_remaining(Millis{14LL * 86'400'000}), "14d00h");
}

TEST(Live, CutsPaintedLinesWithoutBreakingASequence) {
  EXPECT_EQ(cut_painted("\x1b[31mabcdef\x1b[0m", 4), "\x1b[31mabc…\x1b[0m");
  EXPECT_EQ(cut_painted("ab\x1b[31mcd\x1b[0m", 4), "ab\x1b[31mcd\x1b[0m");
  EXPECT_EQ(cut_painted("abcdef", 3), "ab…");
}

TEST(Live, RedrawsInPlaceAndNeverMoreThanTheScreenHolds) {
  std::ostringstream out;
  Live live(out, 20, 3);
  live.draw({"one", "two", "three"});
  EXPECT_EQ(out.str(), "\r\x1b[Jone\ntwo\n");
  out.str("");
  live.draw({"four"});
  EXPECT_EQ(out.str(), "\x1b[2A\r\x1b[Jfour\n");
  out.str("");
  live.print("stays");
  EXPECT_EQ(out.str(), "\x1b[1A\r\x1b[Jstays\n\r\x1b[Jfour\n");
}

TEST(Live, WhatWasLeftIsNotDrawnAgain) {
  std::ostringstream out;
  Live live(out, 20, 5);
  live.draw({"done"});
  live.leave();
  out.str("");
  live.print("demo: ok");
  EXPECT_EQ(out.str(), "\r\x1b[Jdemo: ok\n");
}

}  // namespace
}  // namespace poundlock::cli
