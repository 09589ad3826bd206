// The part of an OTLP metrics export (opentelemetry-proto, metrics/v1, ExportMetricsServiceRequest) that
// tells how an application's statements fared under a flag. Both encodings of OTLP/HTTP, protobuf and JSON,
// become this. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poundlock::server::otlp {

// Text, numbers and booleans as text; lists, maps and bytes are left out.
using Attributes = std::map<std::string, std::string, std::less<>>;

struct Exponential {  // bucket i holds (base^i, base^(i+1)], base = 2^(2^-scale)
  std::int32_t scale = 0;
  std::int32_t offset = 0;
  std::vector<std::uint64_t> counts;
  std::uint64_t zero_count = 0;
};

struct Point {
  Attributes attributes;
  std::uint64_t start_ns = 0;  // Unix
  std::uint64_t time_ns = 0;
  std::uint64_t count = 0;     // of a sum: its value
  std::vector<double> bounds;  // explicit buckets: upper edges; one count more than edges
  std::vector<std::uint64_t> counts;
  std::optional<Exponential> exponential;
};

enum class Kind { kOther, kSum, kHistogram };
enum class Temporality { kUnknown = 0, kDelta = 1, kCumulative = 2 };  // as on the wire

struct Metric {
  std::string name;
  std::string unit;  // UCUM: "s", "ms"
  Kind kind = Kind::kOther;
  Temporality temporality = Temporality::kUnknown;
  std::vector<Point> points;
};

struct Resource {
  Attributes attributes;
  std::vector<Metric> metrics;
};

struct Limits {
  std::size_t points_max = 20'000;   // of one export
  std::size_t attributes_max = 128;  // of one point or resource; more are an error
  std::size_t buckets_max = 2'048;   // of one point
  std::size_t groups_max = 20'000;   // resources and metrics together
};

// Errors (kUser): otlp.body (malformed), otlp.size (over a limit).
Result<std::vector<Resource>> decode_protobuf(std::string_view body, const Limits& limits = {});
Result<std::vector<Resource>> decode_json(std::string_view body, const Limits& limits = {});
// Undoes Content-Encoding: gzip; never makes more than `bytes_max` bytes.
Result<std::string> inflate(std::string_view body, std::size_t bytes_max);

}  // namespace poundlock::server::otlp
