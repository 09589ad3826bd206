#include <fmt/format.h>
#include <gmock/gmock.h>
#include <zlib.h>

#include <bit>

#include "server/otlp/reports.h"

namespace poundlock::server::otlp {
namespace {

// protobuf's wire format, as little of it as an export needs.
class Writer {
 public:
  Writer& varint(int field, std::uint64_t value) {
    raw(static_cast<std::uint64_t>(field) << 3);
    raw(value);
    return *this;
  }
  Writer& fixed64(int field, std::uint64_t value) {
    raw((static_cast<std::uint64_t>(field) << 3) | 1);
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
    return *this;
  }
  Writer& text(int field, std::string_view value) {
    raw((static_cast<std::uint64_t>(field) << 3) | 2);
    raw(value.size());
    bytes += value;
    return *this;
  }
  Writer& nested(int field, const Writer& value) { return text(field, value.bytes); }
  void raw(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
    bytes += static_cast<char>(value);
  }
  std::string bytes;
};

Writer attribute(std::string_view key, std::string_view value) {
  return Writer().text(1, key).nested(2, Writer().text(1, value));
}

// scale 5; the bucket of 0.016 s (2^-6) and the next but one.
Writer exponential_point(std::uint64_t start, std::uint64_t time, std::uint64_t low, std::uint64_t high) {
  Writer packed;
  for (const auto count : {low, std::uint64_t{0}, high}) packed.raw(count);
  Writer point;
  for (const auto& [key, value] : {std::pair{"feature_flag.key", "v2"},
                                   {"feature_flag.result.variant", "on"},
                                   {"poundlock.path", "by_status"},
                                   {"poundlock.context", "internal"}})
    point.nested(1, attribute(key, value));
  return point.fixed64(2, start)
      .fixed64(3, time)
      .fixed64(4, low + high)
      .varint(6, 10)                                              // zigzag of 5
      .nested(8, Writer().varint(1, 383).text(2, packed.bytes));  // zigzag of -192 = -6 * 32
}

std::string request(const Writer& histogram_field, int data_field, std::string_view name) {
  const Writer metric = Writer().text(1, name).text(3, "s").nested(data_field, histogram_field);
  Writer resource;
  resource.nested(1, attribute("service.name", "shop")).nested(1, attribute("service.instance.id", "a1"));
  return Writer().nested(1, Writer().nested(1, resource).nested(2, Writer().nested(2, metric))).bytes;
}

std::string exponential(std::uint64_t start, std::uint64_t time, std::uint64_t low, std::uint64_t high,
                        int temporality = 2) {
  return request(Writer().nested(1, exponential_point(start, time, low, high)).varint(2, temporality), 10,
                 "db.client.operation.duration");
}

flag::PathReport only_path(const Reports::Taken& taken) {
  if (taken.reports.size() != 1 || taken.reports[0].paths.size() != 1) {
    ADD_FAILURE() << taken.reports.size() << " reports";
    return {};
  }
  return taken.reports[0].paths[0];
}

Reports::Taken feed(Reports& reports, const std::string& body) {
  const auto read = decode_protobuf(body);
  EXPECT_TRUE(read) << read.error().to_string();
  return read ? reports.take(*read, "10.0.0.1:5") : Reports::Taken{};
}

TEST(Otlp, CountsOfACumulativeHistogramOnlyWhatIsNew) {
  Reports reports;
  EXPECT_TRUE(feed(reports, exponential(1, 10, 100, 50)).reports.empty()) << "it may hold hours";
  const auto taken = feed(reports, exponential(1, 20, 103, 55));
  const auto row = only_path(taken);
  EXPECT_EQ(row.flag, "v2");
  EXPECT_EQ(row.path, "by_status");
  EXPECT_EQ(row.context, "internal");
  EXPECT_EQ(row.side, flag::Side::kNew);
  EXPECT_EQ(row.counts.attempts, 8U);
  EXPECT_EQ(row.counts.errors(), 0U);
  EXPECT_EQ(row.latency.count(), 8U);
  // 2^-6 s times 2^(2.5/32): the bucket's middle, within our own buckets' 1.6 %.
  EXPECT_NEAR(row.latency.quantile(0.99), 15'625 * std::exp2(2.5 / 32), 400);
  EXPECT_EQ(taken.reports[0].service, "shop");
  EXPECT_EQ(taken.reports[0].instance, "a1");
  EXPECT_FALSE(taken.reports[0].member);
}

TEST(Otlp, ResourcesOfOneInstanceAreOneReport) {
  Reports reports;
  std::string both = exponential(1, 10, 4, 0, 1);
  both += request(Writer().nested(1, exponential_point(1, 10, 3, 0)).varint(2, 1), 10,
                  "poundlock.attempt.duration");
  EXPECT_EQ(only_path(feed(reports, both)).counts.attempts, 7U) << "a collector sends them apart";
}

TEST(Otlp, AProcessThatBeganAnewCountsFromNought) {
  Reports reports;
  feed(reports, exponential(1, 10, 100, 0));
  EXPECT_EQ(only_path(feed(reports, exponential(15, 20, 7, 0))).counts.attempts, 7U);
}

TEST(Otlp, ADeltaThatIsSentTwiceCountsOnce) {
  Reports reports;
  EXPECT_EQ(only_path(feed(reports, exponential(1, 10, 4, 0, 1))).counts.attempts, 4U);
  EXPECT_TRUE(feed(reports, exponential(1, 10, 4, 0, 1)).reports.empty());
  EXPECT_EQ(only_path(feed(reports, exponential(10, 20, 4, 0, 1))).counts.attempts, 4U);
}

TEST(Otlp, RejectsWhatHasNoTemporality) {
  Reports reports;
  EXPECT_EQ(feed(reports, exponential(1, 10, 4, 0, 0)).rejected, 1U);
}

std::string json_histogram(std::string_view bounds, std::string_view counts, std::string_view more) {
  return fmt::format(
      R"({{"resourceMetrics":[{{"resource":{{"attributes":[]}},"scopeMetrics":[{{"metrics":[{{
        "name":"poundlock.attempt.duration","unit":"ms",
        "histogram":{{"aggregationTemporality":1,"dataPoints":[{{
        "attributes":[{{"key":"feature_flag.key","value":{{"stringValue":"v2"}}}}{}],
        "startTimeUnixNano":"1","timeUnixNano":"2","count":"6",
        "bucketCounts":{},"explicitBounds":{}}}]}}}}]}}]}}]}})",
      more, counts, bounds);
}

TEST(Otlp, CoarseBucketsCountAttemptsAndTellNoLatency) {
  Reports reports;
  const auto coarse = decode_json(json_histogram("[5,10,25]", R"(["0","6","0","0"])", ""));
  ASSERT_TRUE(coarse) << coarse.error().to_string();
  const auto taken = reports.take(*coarse, "10.0.0.7:99");
  EXPECT_EQ(only_path(taken).counts.attempts, 6U);
  EXPECT_EQ(only_path(taken).latency.count(), 0U) << "p95 would not move until it doubles";
  EXPECT_EQ(taken.coarse, 6U);
  EXPECT_EQ(taken.reports[0].instance, "10.0.0.7");

  const auto fine = decode_json(json_histogram("[10,11,12]", "[0,6,0,0]", ""));
  Reports others;
  const auto row = only_path(others.take(*fine, "p"));
  EXPECT_EQ(row.latency.count(), 6U);
  EXPECT_NEAR(row.latency.quantile(0.5), 10'488, 200);
  EXPECT_EQ(row.side, flag::Side::kLegacy);
}

TEST(Otlp, SortsErrorsAsTheGatesDo) {
  const auto row = [](std::string_view type, std::string_view state, std::string_view recovered = "false") {
    Reports reports;
    const auto attributes = fmt::format(
        R"(,{{"key":"error.type","value":{{"stringValue":"{}"}}}},
            {{"key":"db.response.status_code","value":{{"stringValue":"{}"}}}},
            {{"key":"poundlock.recovered","value":{{"boolValue":{}}}}})",
        type, state, recovered);
    return only_path(reports.take(*decode_json(json_histogram("[5]", "[6,0]", attributes)), "p"));
  };
  const auto errors = [&](std::string_view type, std::string_view state) { return row(type, state).counts; };
  EXPECT_EQ(row("DatabaseError", "40P01").user_errors, 6U);
  EXPECT_EQ(row("DatabaseError", "40P01", "true").user_errors, 0U);
  EXPECT_EQ(errors("DatabaseError", "40P01").deadlocks, 6U);
  EXPECT_EQ(errors("QueryCanceled", "57014").timeouts, 6U);
  EXPECT_EQ(errors("asyncio.TimeoutError", "").timeouts, 6U);
  EXPECT_EQ(errors("ECONNREFUSED", "08006").connection, 6U);
  EXPECT_EQ(errors("UniqueViolation", "23505").other, 6U);
}

TEST(Otlp, TakesEvaluationsOfTheMetricsHook) {
  const auto read = decode_json(R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{
      "name":"feature_flag.evaluation_success_total","sum":{"aggregationTemporality":1,"isMonotonic":true,
      "dataPoints":[{"asInt":"5","timeUnixNano":"9","attributes":[
        {"key":"feature_flag.key","value":{"stringValue":"v2"}},
        {"key":"feature_flag.result.variant","value":{"stringValue":"off"}},
        {"key":"feature_flag.result.reason","value":{"stringValue":"targeting_match"}}]}]}}]}]}]})");
  ASSERT_TRUE(read);
  Reports reports;
  const auto taken = reports.take(*read, "p");
  ASSERT_EQ(taken.reports.size(), 1U);
  ASSERT_EQ(taken.reports[0].evaluations.size(), 1U);
  EXPECT_EQ(taken.reports[0].evaluations[0].count, 5U);
  EXPECT_EQ(taken.reports[0].evaluations[0].reason, "TARGETING_MATCH");
}

TEST(Otlp, EveryCutOfABodyIsRefusedOrReadWithoutHarm) {
  const std::string whole = exponential(1, 10, 100, 50);
  for (std::size_t size = 1; size < whole.size(); ++size)
    EXPECT_FALSE(decode_protobuf(whole.substr(0, size))) << size;
  std::string noisy = whole;
  for (std::size_t i = 0; i < noisy.size(); ++i) {
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      noisy[i] = static_cast<char>(whole[i] ^ flip);
      if (const auto read = decode_protobuf(noisy)) {
        Reports reports;
        reports.take(*read, "p");
        reports.take(*read, "p");
      }
    }
    noisy[i] = whole[i];
  }
}

TEST(Otlp, HoldsItsLimits) {
  Writer many;
  for (int i = 0; i < 50; ++i) many.nested(1, exponential_point(1, 2, 1, 1));
  const std::string body = request(many, 10, "db.client.operation.duration");
  Limits limits;
  limits.points_max = 49;
  const auto read = decode_protobuf(body, limits);
  Limits groups;
  groups.groups_max = 1;
  EXPECT_EQ(decode_protobuf(body, groups).error().code, "otlp.size");
  EXPECT_EQ(decode_json(json_histogram("[5]", "[6,0]", ""), groups).error().code, "otlp.size");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, "otlp.size");
}

TEST(Otlp, UnfoldsGzipUpToALimit) {
  const std::string text(100'000, 'x');
  std::string packed(1'000, '\0');
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  EXPECT_EQ(*inflate(packed, 100'000), text);
  EXPECT_EQ(inflate(packed, 99'999).error().code, "otlp.size");
  EXPECT_FALSE(inflate(packed.substr(0, packed.size() - 9), 200'000));
  EXPECT_FALSE(inflate("no gzip", 100));
}

}  // namespace
}  // namespace poundlock::server::otlp
