// Field numbers: github.com/open-telemetry/opentelemetry-proto, metrics.proto, common.proto, resource.proto.
// Read with protobuf's own wire reader: generated classes would hold every exemplar and link, and take eight
// seconds to compile.
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include <bit>
#include <functional>

#include "server/otlp/metrics.h"

namespace poundlock::server::otlp {
namespace {

using google::protobuf::io::CodedInputStream;

Error malformed() {
  return user_error("otlp.body", "the body is no ExportMetricsServiceRequest in protobuf")
      .with_hint("Content-Type: application/x-protobuf with OTLP metrics, or application/json");
}

// One message: calls `field` for each tag, which answers false where it did not take the value.
class Reader {
 public:
  Reader(CodedInputStream& in, const Limits& limits) : in_(in), limits_(limits) {}

  using Field = std::function<bool(int number)>;
  bool message(const Field& field) {
    while (const std::uint32_t tag = in_.ReadTag()) {
      const int number = static_cast<int>(tag >> 3);
      wire_ = static_cast<int>(tag & 7);
      taken_ = false;
      if (!field(number)) return false;
      if (!taken_ && !skip()) return false;
    }
    return in_.ConsumedEntireMessage();
  }
  bool nested(const Field& field) {
    std::uint32_t size = 0;
    if (!length(size)) return false;
    const auto limit = in_.PushLimit(static_cast<int>(size));
    const bool good = message(field);
    in_.PopLimit(limit);
    taken_ = true;
    return good;
  }
  bool text(std::string& out) {
    std::uint32_t size = 0;
    return length(size) && in_.ReadString(&out, static_cast<int>(size));
  }
  bool varint(std::uint64_t& out) { return take(0) && in_.ReadVarint64(&out); }
  bool fixed64(std::uint64_t& out) { return take(1) && in_.ReadLittleEndian64(&out); }
  // Packed, or one value at a time: a writer may do either.
  template <typename Append>
  bool repeated(bool fixed, std::size_t already, const Append& append) {
    const auto one = [&] {
      std::uint64_t value = 0;
      if (already++ >= limits_.buckets_max) return false;
      if (!(fixed ? in_.ReadLittleEndian64(&value) : in_.ReadVarint64(&value))) return false;
      append(value);
      return true;
    };
    if (wire_ != 2) return take(fixed ? 1 : 0) && one();
    std::uint32_t size = 0;
    if (!length(size)) return false;
    const auto limit = in_.PushLimit(static_cast<int>(size));
    bool good = true;
    while (good && in_.BytesUntilLimit() > 0) good = one();
    in_.PopLimit(limit);
    return good;
  }
  const Limits& limits() const { return limits_; }
  std::size_t points = 0;
  bool takes_group() { return ++groups <= limits_.groups_max; }  // a metric of two bytes takes a hundred here
  std::size_t groups = 0;

 private:
  bool take(int wire) {
    taken_ = true;
    return wire_ == wire;
  }
  // A length that goes beyond the enclosing message would read its neighbour.
  bool length(std::uint32_t& size) {
    if (!take(2) || !in_.ReadVarint32(&size)) return false;
    return in_.BytesUntilLimit() < 0 || size <= static_cast<std::uint32_t>(in_.BytesUntilLimit());
  }
  bool skip() {
    std::uint64_t ignored = 0;
    std::uint32_t small = 0;
    switch (wire_) {
      case 0: return in_.ReadVarint64(&ignored);
      case 1: return in_.ReadLittleEndian64(&ignored);
      case 2: return length(small) && in_.Skip(static_cast<int>(small));
      case 5: return in_.ReadLittleEndian32(&small);
      default: return false;  // groups were never part of OTLP
    }
  }

  CodedInputStream& in_;
  const Limits limits_;
  int wire_ = 0;
  bool taken_ = false;
};

bool read_any_value(Reader& in, std::optional<std::string>& out) {
  return in.nested([&](int number) {
    std::uint64_t bits = 0;
    switch (number) {
      case 1: return in.text(out.emplace());
      case 2:
        if (!in.varint(bits)) return false;
        out = bits ? "true" : "false";
        return true;
      case 3:
        if (!in.varint(bits)) return false;
        out = std::to_string(static_cast<std::int64_t>(bits));
        return true;
      case 4:
        if (!in.fixed64(bits)) return false;
        out = fmt::format("{}", std::bit_cast<double>(bits));
        return true;
      default: return true;
    }
  });
}

bool read_attribute(Reader& in, Attributes& out) {
  std::string key;
  std::optional<std::string> value;
  const bool good = in.nested([&](int number) {
    if (number == 1) return in.text(key);
    if (number == 2) return read_any_value(in, value);
    return true;
  });
  if (!good || out.size() >= in.limits().attributes_max) return false;
  if (value) out[std::move(key)] = std::move(*value);
  return true;
}

bool read_number_point(Reader& in, Point& out) {
  return in.nested([&](int number) {
    std::uint64_t bits = 0;
    switch (number) {
      case 2: return in.fixed64(out.start_ns);
      case 3: return in.fixed64(out.time_ns);
      case 4:
        if (!in.fixed64(bits)) return false;
        if (const double value = std::bit_cast<double>(bits); value > 0 && value < 1e15)
          out.count = static_cast<std::uint64_t>(value);
        return true;
      case 6:
        if (!in.fixed64(bits)) return false;
        out.count = static_cast<std::int64_t>(bits) > 0 ? bits : 0;
        return true;
      case 7: return read_attribute(in, out.attributes);
      default: return true;
    }
  });
}

bool read_histogram_point(Reader& in, Point& out) {
  return in.nested([&](int number) {
    switch (number) {
      case 2: return in.fixed64(out.start_ns);
      case 3: return in.fixed64(out.time_ns);
      case 4: return in.fixed64(out.count);
      case 6:
        return in.repeated(true, out.counts.size(), [&](std::uint64_t one) { out.counts.push_back(one); });
      case 7:
        return in.repeated(true, out.bounds.size(),
                           [&](std::uint64_t one) { out.bounds.push_back(std::bit_cast<double>(one)); });
      case 9: return read_attribute(in, out.attributes);
      default: return true;
    }
  });
}

std::int32_t unzigzag(std::uint64_t value) {
  const auto low = static_cast<std::uint32_t>(value);
  return static_cast<std::int32_t>((low >> 1) ^ (~(low & 1) + 1));
}

bool read_buckets(Reader& in, Exponential& out) {
  return in.nested([&](int number) {
    std::uint64_t value = 0;
    if (number == 1) {
      if (!in.varint(value)) return false;
      out.offset = unzigzag(value);
      return true;
    }
    if (number != 2) return true;
    return in.repeated(false, out.counts.size(), [&](std::uint64_t one) { out.counts.push_back(one); });
  });
}

bool read_exponential_point(Reader& in, Point& out) {
  Exponential& shape = out.exponential.emplace();
  return in.nested([&](int number) {
    std::uint64_t value = 0;
    switch (number) {
      case 1: return read_attribute(in, out.attributes);
      case 2: return in.fixed64(out.start_ns);
      case 3: return in.fixed64(out.time_ns);
      case 4: return in.fixed64(out.count);
      case 6:
        if (!in.varint(value)) return false;
        shape.scale = unzigzag(value);
        return true;
      case 7: return in.fixed64(shape.zero_count);
      case 8: return read_buckets(in, shape);
      default: return true;
    }
  });
}

bool read_data(Reader& in, Metric& out, bool (*read_point)(Reader&, Point&)) {
  return in.nested([&](int number) {
    if (number == 1) {
      if (++in.points > in.limits().points_max) return false;
      return read_point(in, out.points.emplace_back());
    }
    std::uint64_t value = 0;
    if (number == 2) {
      if (!in.varint(value)) return false;
      if (value == 1 || value == 2) out.temporality = static_cast<Temporality>(value);
    }
    return true;
  });
}

bool read_metric(Reader& in, Metric& out) {
  return in.nested([&](int number) {
    switch (number) {
      case 1: return in.text(out.name);
      case 3: return in.text(out.unit);
      case 7: out.kind = Kind::kSum; return read_data(in, out, read_number_point);
      case 9: out.kind = Kind::kHistogram; return read_data(in, out, read_histogram_point);
      case 10: out.kind = Kind::kHistogram; return read_data(in, out, read_exponential_point);
      default: return true;
    }
  });
}

bool read_resource_metrics(Reader& in, Resource& out) {
  return in.nested([&](int number) {
    if (number == 1) {
      return in.nested([&](int inner) { return inner != 1 || read_attribute(in, out.attributes); });
    }
    if (number != 2) return true;
    return in.nested([&](int inner) {
      return inner != 2 || (in.takes_group() && read_metric(in, out.metrics.emplace_back()));
    });
  });
}

}  // namespace

Result<std::vector<Resource>> decode_protobuf(std::string_view body, const Limits& limits) {
  if (body.size() > (std::size_t{1} << 30)) return fail(user_error("otlp.size", "the body is too large"));
  CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(body.data()), static_cast<int>(body.size()));
  Reader in(stream, limits);
  std::vector<Resource> out;
  const bool good = in.message([&](int number) {
    return number != 1 || (in.takes_group() && read_resource_metrics(in, out.emplace_back()));
  });
  if (in.groups > limits.groups_max)
    return fail(
        user_error("otlp.size", fmt::format("more than {} metrics in one export", limits.groups_max)));
  if (in.points > limits.points_max)
    return fail(user_error("otlp.size", fmt::format("more than {} points in one export", limits.points_max)));
  if (!good) return fail(malformed());
  return out;
}

}  // namespace poundlock::server::otlp
