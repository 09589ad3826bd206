// OTLP's JSON encoding: names in lowerCamelCase, 64-bit numbers as text (some exporters write numbers).
#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>

#include "base/json.h"
#include "server/otlp/metrics.h"

namespace poundlock::server::otlp {
namespace {

template <typename Number>
Number number_of(const json::Value* value) {
  Number out{};
  if (!value) return out;
  if (value->is_string()) {
    const auto& text = value->as_string();
    std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
  }
  boost::system::error_code inexact;
  const auto read = value->to_number<Number>(inexact);
  return inexact ? Number{} : read;
}

const json::Array& list_of(const json::Object& object, std::string_view key) {
  static const json::Array kNone;
  const auto* value = json::find(object, key);
  return value && value->is_array() ? value->as_array() : kNone;
}

const json::Object& object_of(const json::Value* value) {
  static const json::Object kNone;
  return value && value->is_object() ? value->as_object() : kNone;
}

std::string text_of(const json::Object& object, std::string_view key) {
  const auto* value = json::find(object, key);
  return value && value->is_string() ? std::string(value->as_string()) : std::string();
}

std::optional<std::string> any_value(const json::Object& value) {
  if (const auto* text = json::find(value, "stringValue"); text && text->is_string())
    return std::string(text->as_string());
  if (const auto* flag = json::find(value, "boolValue"); flag && flag->is_bool())
    return flag->as_bool() ? "true" : "false";
  if (const auto* whole = json::find(value, "intValue"))
    return std::to_string(number_of<std::int64_t>(whole));
  if (const auto* real = json::find(value, "doubleValue")) return fmt::format("{}", number_of<double>(real));
  return std::nullopt;
}

class Decoder {
 public:
  explicit Decoder(const Limits& limits) : limits_(limits) {}

  Result<std::vector<Resource>> run(const json::Object& root) {
    std::vector<Resource> out;
    for (const auto& entry : list_of(root, "resourceMetrics")) {
      if (is_group_too_many()) break;
      Resource& resource = out.emplace_back();
      const json::Object& group = object_of(&entry);
      attributes(object_of(json::find(group, "resource")), resource.attributes);
      for (const auto& scope : list_of(group, "scopeMetrics"))
        for (const auto& one : list_of(object_of(&scope), "metrics"))
          if (!is_group_too_many()) metric(object_of(&one), resource.metrics.emplace_back());
    }
    if (over_) return fail(user_error("otlp.size", fmt::format("the export is over a limit: {}", over_)));
    return out;
  }

 private:
  bool is_group_too_many() {
    if (groups_++ < limits_.groups_max) return false;
    over_ = "resources and metrics";
    return true;
  }

  void attributes(const json::Object& of, Attributes& out) {
    const auto& list = list_of(of, "attributes");
    if (list.size() > limits_.attributes_max) {
      over_ = "attributes";
      return;
    }
    for (const auto& entry : list) {
      const json::Object& pair = object_of(&entry);
      auto value = any_value(object_of(json::find(pair, "value")));
      if (value) out[text_of(pair, "key")] = std::move(*value);
    }
  }

  void metric(const json::Object& of, Metric& out) {
    out.name = text_of(of, "name");
    out.unit = text_of(of, "unit");
    for (const auto& [name, kind] : {std::pair{"sum", Kind::kSum}, std::pair{"histogram", Kind::kHistogram},
                                     std::pair{"exponentialHistogram", Kind::kHistogram}}) {
      const auto* data = json::find(of, name);
      if (!data || !data->is_object()) continue;
      out.kind = kind;
      temporality(data->as_object(), out);
      for (const auto& entry : list_of(data->as_object(), "dataPoints")) {
        if (++points_ > limits_.points_max) {
          over_ = "points";
          return;
        }
        point(object_of(&entry), kind, out.points.emplace_back());
      }
    }
  }

  static void temporality(const json::Object& data, Metric& out) {
    const auto* given = json::find(data, "aggregationTemporality");
    const auto number = number_of<std::int64_t>(given);
    const std::string name = text_of(data, "aggregationTemporality");
    if (number == 1 || name == "AGGREGATION_TEMPORALITY_DELTA") out.temporality = Temporality::kDelta;
    if (number == 2 || name == "AGGREGATION_TEMPORALITY_CUMULATIVE")
      out.temporality = Temporality::kCumulative;
  }

  void point(const json::Object& of, Kind kind, Point& out) {
    attributes(of, out.attributes);
    out.start_ns = number_of<std::uint64_t>(json::find(of, "startTimeUnixNano"));
    out.time_ns = number_of<std::uint64_t>(json::find(of, "timeUnixNano"));
    if (kind == Kind::kSum) {
      out.count = number_of<std::uint64_t>(json::find(of, "asInt"));
      const double value = number_of<double>(json::find(of, "asDouble"));
      if (value > 0 && value < 1e15) out.count = static_cast<std::uint64_t>(value);
      return;
    }
    out.count = number_of<std::uint64_t>(json::find(of, "count"));
    counts(of, "bucketCounts", out.counts);
    for (const auto& bound : list_of(of, "explicitBounds")) {
      if (out.bounds.size() >= limits_.buckets_max) over_ = "buckets";
      if (over_) return;
      out.bounds.push_back(number_of<double>(&bound));
    }
    if (!of.contains("scale") && !of.contains("positive")) return;
    Exponential& shape = out.exponential.emplace();
    shape.scale = number_of<std::int32_t>(json::find(of, "scale"));
    shape.zero_count = number_of<std::uint64_t>(json::find(of, "zeroCount"));
    const json::Object& positive = object_of(json::find(of, "positive"));
    shape.offset = number_of<std::int32_t>(json::find(positive, "offset"));
    counts(positive, "bucketCounts", shape.counts);
  }

  void counts(const json::Object& of, std::string_view key, std::vector<std::uint64_t>& out) {
    for (const auto& one : list_of(of, key)) {
      if (out.size() >= limits_.buckets_max) over_ = "buckets";
      if (over_) return;
      out.push_back(number_of<std::uint64_t>(&one));
    }
  }

  const Limits limits_;
  std::size_t points_ = 0;
  std::size_t groups_ = 0;
  const char* over_ = nullptr;
};

}  // namespace

Result<std::vector<Resource>> decode_json(std::string_view body, const Limits& limits) {
  json::Limits bounds;
  bounds.bytes_max = 4 << 20;
  bounds.nodes_max = 1'000'000;
  PL_TRY(const auto value, json::parse(body, "the export", bounds));
  PL_TRY(const auto* root, json::as_object(value, "an OTLP export"));
  return Decoder(limits).run(*root);
}

}  // namespace poundlock::server::otlp
