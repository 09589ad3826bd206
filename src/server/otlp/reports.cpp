#include "server/otlp/reports.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/names.h"

namespace poundlock::server::otlp {
namespace {

constexpr double kWidthMax = 1.15;  // of a bucket: the latency gates look for 15 %
constexpr std::array<std::string_view, 5> kNewVariants{"on", "true", "live", "rampdown", "complete"};

std::string_view at(const Attributes& attributes, std::string_view key) {
  const auto found = attributes.find(key);
  return found == attributes.end() ? std::string_view() : std::string_view(found->second);
}

std::string_view first_of(const Attributes& attributes, std::initializer_list<std::string_view> keys) {
  for (const auto key : keys)
    if (const auto found = at(attributes, key); !found.empty()) return found;
  return {};
}

bool contains(std::string_view text, std::string_view part) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [&](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

// error.type is an exception's name, an SQLSTATE or a word; db.response.status_code the SQLSTATE.
void count_error(std::string_view type, std::string_view state, std::uint64_t count, flag::Counts& to) {
  const auto is = [&](std::string_view code) { return state == code || type == code; };
  const auto begins = [&](std::string_view code) {
    return state.starts_with(code) || (type.size() == 5 && type.starts_with(code));
  };
  if (is("40P01") || contains(type, "deadlock")) {
    to.deadlocks += count;
  } else if (is("57014") || is("55P03") || contains(type, "timeout") || contains(type, "canceled")) {
    to.timeouts += count;
  } else if (begins("08") || is("53300") || is("57P01") || contains(type, "connect")) {
    to.connection += count;
  } else {
    to.other += count;
  }
}

double microseconds(std::string_view unit) {
  if (unit == "ms") return 1e3;
  if (unit == "us") return 1;
  return 1e6;  // the convention's unit is the second
}

std::uint64_t whole(double value) {
  return static_cast<std::uint64_t>(std::clamp(value, 0.0, 9e18));
}

// False where the shape is too coarse to judge by; then nothing is added.
bool add_latency(const Point& point, double unit, Histogram& to) {
  if (point.exponential) {
    const Exponential& shape = *point.exponential;
    if (shape.scale < 3 || shape.scale > 20) return false;  // 2^(2^-3) = 1.09
    if (shape.zero_count) to.add(0, shape.zero_count);
    for (std::size_t i = 0; i < shape.counts.size(); ++i) {
      if (!shape.counts[i]) continue;
      const double middle = static_cast<double>(shape.offset) + static_cast<double>(i) + 0.5;
      to.add(whole(std::exp2(std::ldexp(middle, -shape.scale)) * unit), shape.counts[i]);
    }
    return true;
  }
  if (point.counts.size() != point.bounds.size() + 1) return false;
  for (std::size_t i = 0; i < point.counts.size(); ++i) {
    if (!point.counts[i]) continue;
    const bool open_end = i == 0 || i == point.bounds.size();
    if (open_end || point.bounds[i - 1] <= 0 || point.bounds[i] / point.bounds[i - 1] > kWidthMax)
      return false;
  }
  for (std::size_t i = 1; i < point.bounds.size(); ++i)
    if (point.counts[i])
      to.add(whole(std::sqrt(point.bounds[i - 1] * point.bounds[i]) * unit), point.counts[i]);
  return true;
}

// Buckets of a finer scale, merged two by two until they are of `scale`.
Exponential downscaled(const Exponential& shape, std::int32_t scale) {
  const auto shift = std::clamp<std::int64_t>(std::int64_t{shape.scale} - scale, 0, 31);
  Exponential out{
      scale, static_cast<std::int32_t>(std::int64_t{shape.offset} >> shift), {}, shape.zero_count};
  if (shape.counts.empty()) return out;
  const std::int64_t last =
      (std::int64_t{shape.offset} + static_cast<std::int64_t>(shape.counts.size()) - 1) >> shift;
  out.counts.resize(static_cast<std::size_t>(last - out.offset + 1));
  for (std::size_t i = 0; i < shape.counts.size(); ++i)
    out.counts[static_cast<std::size_t>(
        ((std::int64_t{shape.offset} + static_cast<std::int64_t>(i)) >> shift) - out.offset)] +=
        shape.counts[i];
  return out;
}

std::uint64_t minus(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : 0;
}

void subtract(Exponential& from, const Exponential& before) {
  const Exponential old = downscaled(before, from.scale);
  from.zero_count = minus(from.zero_count, old.zero_count);
  for (std::size_t i = 0; i < old.counts.size(); ++i) {
    const std::int64_t place = std::int64_t{old.offset} + static_cast<std::int64_t>(i) - from.offset;
    if (place < 0 || place >= static_cast<std::int64_t>(from.counts.size())) continue;
    auto& count = from.counts[static_cast<std::size_t>(place)];
    count = minus(count, old.counts[i]);
  }
}

std::string instance_of(const Attributes& resource, std::string_view peer) {
  if (const auto id = at(resource, "service.instance.id"); !id.empty()) return clean_name(id);
  const auto host = at(resource, "host.name"), pid = at(resource, "process.pid");
  if (!host.empty()) return clean_name(fmt::format("{}/{}", host, pid));
  return clean_name(peer.substr(0, peer.rfind(':')));
}

std::string variant_of(const Attributes& of) {
  return clean_name(first_of(of, {"feature_flag.result.variant", "feature_flag.variant"}));
}

flag::PathReport& path_of(flag::Report& report, const Attributes& of) {
  flag::PathReport row;
  row.flag = clean_name(at(of, "feature_flag.key"));
  const auto name = first_of(of, {"poundlock.path", "db.query.summary", "db.operation.name"});
  row.path = clean_name(name, "statements");
  row.context = clean_name(at(of, "poundlock.context"));
  const std::string variant = variant_of(of);
  if (std::find(kNewVariants.begin(), kNewVariants.end(), variant) != kNewVariants.end())
    row.side = flag::Side::kNew;
  const auto verb = at(of, "db.operation.name");
  row.write = verb == "INSERT" || verb == "UPDATE" || verb == "DELETE" || verb == "MERGE";
  for (flag::PathReport& known : report.paths)
    if (std::tie(known.flag, known.path, known.context, known.side, known.write) ==
        std::tie(row.flag, row.path, row.context, row.side, row.write))
      return known;
  return report.paths.emplace_back(std::move(row));
}

// What tells the series of one metric apart, shortened: an application may attach whole documents, and the
// table of series holds what it is given for hours. Two series that differ in what we do not read at all
// would be one here, so that the rest goes in as a hash.
Attributes identity_of(const Attributes& of) {
  Attributes out;
  std::string rest;
  for (const auto& [key, value] : of) rest.append(key).append(1, '=').append(value).append(1, '\n');
  out.emplace("feature_flag.key", clean_name(at(of, "feature_flag.key")));
  out.emplace("hash", fmt::format("{:x}.{:x}", std::hash<std::string>{}(rest), rest.size()));
  return out;
}

bool is_attempts(const Metric& metric) {
  return metric.kind == Kind::kHistogram &&
         (metric.name == "db.client.operation.duration" || metric.name == "poundlock.attempt.duration");
}

bool is_evaluations(const Metric& metric) {
  return metric.kind == Kind::kSum && (metric.name == "feature_flag.evaluation_success_total" ||
                                       metric.name == "feature_flag.evaluation_error_total");
}

}  // namespace

bool Reports::make_room() {
  if (full_) return false;  // found once: a look at all series for each further point would take seconds
  auto oldest = std::min_element(series_.begin(), series_.end(),
                                 [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
  // One that the present export feeds would be new again with the next one, and never count.
  full_ = oldest == series_.end() || oldest->second.used == exports_;
  if (full_) return false;
  series_.erase(oldest);
  return true;
}

// Leaves in `point` what is new since the last export of its series. False: no place. `known`: false where
// the series begins, so that nothing is to be counted yet.
bool Reports::to_delta(const SeriesKey& key, Temporality temporality, Point& point, bool& known) {
  known = true;
  auto found = series_.find(key);
  if (found == series_.end()) {
    if (series_.size() >= series_max_ && !make_room()) return false;
    found = series_.emplace(key, Series{}).first;
    found->second.start_ns = point.start_ns;
    known = temporality == Temporality::kDelta;
  }
  Series& before = found->second;
  before.used = exports_;
  if (temporality == Temporality::kDelta) {
    known = point.time_ns > before.time_ns;  // an exporter that missed our answer sends the same again
    before.time_ns = std::max(before.time_ns, point.time_ns);
    return true;
  }
  const bool again = known && before.start_ns != point.start_ns;  // the process began anew: so did its sums
  // No exporter makes its buckets finer within one life; what is left of two such shapes would be invented.
  if (known && !again && point.exponential && before.exponential.scale < point.exponential->scale)
    known = false;
  Point all = point;
  if (known && !again) {
    point.count = minus(point.count, before.count);
    for (std::size_t i = 0; i < std::min(point.counts.size(), before.counts.size()); ++i)
      point.counts[i] = minus(point.counts[i], before.counts[i]);
    if (point.exponential) subtract(*point.exponential, before.exponential);
  }
  before.start_ns = all.start_ns;
  before.time_ns = all.time_ns;
  before.count = all.count;
  before.counts = std::move(all.counts);
  if (all.exponential) before.exponential = std::move(*all.exponential);
  return true;
}

// One sample row of the report, from what is new of one point.
void Reports::add(const Metric& metric, Point point, flag::Report& report, Taken& out) {
  const Attributes& of = point.attributes;
  if (at(of, "feature_flag.key").empty()) return;
  bool known = false;
  if (metric.temporality == Temporality::kUnknown ||
      !to_delta({report.service, report.instance, metric.name, identity_of(of)}, metric.temporality, point,
                known)) {
    ++out.rejected;
    return;
  }
  if (!known || point.count == 0) return;
  if (!is_attempts(metric)) {
    const auto reason = first_of(of, {"feature_flag.result.reason", "feature_flag.reason"});
    std::string upper = clean_name(reason, "ERROR");  // the convention spells it in lower case
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    report.evaluations.push_back({clean_name(at(of, "feature_flag.key")), variant_of(of), std::move(upper),
                                  clean_name(at(of, "poundlock.context")), point.count});
    return;
  }
  flag::PathReport& row = path_of(report, of);
  row.counts.attempts += point.count;
  if (at(of, "poundlock.fallback") == "true") row.fallbacks += point.count;
  if (const auto type = at(of, "error.type"); !type.empty()) {
    count_error(type, at(of, "db.response.status_code"), point.count, row.counts);
    if (at(of, "poundlock.recovered") != "true") row.user_errors += point.count;
  }
  if (!add_latency(point, microseconds(metric.unit), row.latency)) out.coarse += point.count;
}

Reports::Taken Reports::take(const std::vector<Resource>& resources, std::string_view peer) {
  Taken out;
  std::lock_guard lock(mutex_);
  ++exports_;
  full_ = false;
  std::map<std::pair<std::string, std::string>, flag::Report> by_instance;
  for (const Resource& resource : resources) {
    std::pair name(clean_name(at(resource.attributes, "service.name"), "unknown_service"),
                   instance_of(resource.attributes, peer));
    // A collector sends what it had from one process as several resources.
    flag::Report& report = by_instance[name];
    report.member = false;
    std::tie(report.service, report.instance) = name;
    report.build = clean_name(at(resource.attributes, "service.version"));
    report.sequence = exports_;
    for (const Metric& metric : resource.metrics) {
      if (!is_attempts(metric) && !is_evaluations(metric)) continue;
      for (const Point& point : metric.points) add(metric, point, report, out);
    }
  }
  for (auto& [name, report] : by_instance)
    if (!report.paths.empty() || !report.evaluations.empty()) out.reports.push_back(std::move(report));
  return out;
}

}  // namespace poundlock::server::otlp
