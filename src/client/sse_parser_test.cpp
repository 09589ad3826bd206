#include "client/sse_parser.h"

#include <gtest/gtest.h>

#include <vector>

namespace poundlock::client {
namespace {

std::vector<SseEvent> parse(std::string_view bytes, std::size_t piece) {
  std::vector<SseEvent> events;
  SseParser parser(1'000, [&](const SseEvent& event) { events.push_back(event); });
  for (std::size_t at = 0; at < bytes.size(); at += piece) EXPECT_TRUE(parser.feed(bytes.substr(at, piece)));
  return events;
}

TEST(SseParser, CutsEventsWhereverTheBytesAreCut) {
  const std::string bytes =
      ": hello\nevent: snapshot\nid: 1.2\ndata: {\"a\":\ndata: 1}\n\nevent: beat\r\ndata:\r\n\r\ndata: x\r\r";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    SCOPED_TRACE(piece);
    const auto events = parse(bytes, piece);
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(events[0].name, "snapshot");
    EXPECT_EQ(events[0].id, "1.2");
    EXPECT_EQ(events[0].data, "{\"a\":\n1}");
    EXPECT_EQ(events[1].name, "beat");
    EXPECT_EQ(events[2].name, "message");
    EXPECT_EQ(events[2].data, "x");
  }
}

TEST(SseParser, ABeatNeedsNoData) {
  const auto events = parse("event: beat\n\n\n\n", 3);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].name, "beat");
}

TEST(SseParser, RefusesAnEventThatNeverEnds) {
  SseParser parser(100, [](const SseEvent&) { FAIL() << "no event was complete"; });
  EXPECT_TRUE(parser.feed("data: " + std::string(80, 'x') + "\n"));
  EXPECT_FALSE(parser.feed("data: " + std::string(80, 'x') + "\n"));
}

}  // namespace
}  // namespace poundlock::client
