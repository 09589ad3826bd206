// The wire form of a report: one JSON object, latencies as [[bucket, count], ...]. Keys that are not
// known are skipped, so that an older server takes a newer client's report; everything else is strict,
// for a gate decides on these numbers.
#include "flag/report.h"

#include <fmt/format.h>

#include <cstddef>
#include <limits>
#include <utility>

#include "base/json.h"
#include "base/strings.h"

namespace poundlock::flag {
namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr std::size_t kRowsMax = 10'000;
constexpr std::size_t kNameBytesMax = 256;
// More than any instance can do between two reports; sums over many reports stay far from overflow.
constexpr std::uint64_t kCountMax = 1'000'000'000'000;
constexpr std::int64_t kRuleMax = 1'000'000;
constexpr json::Limits kLimits{.bytes_max = 1 << 20, .depth_max = 8, .nodes_max = 400'000};

Array to_array(const Histogram& histogram) {
  Array buckets;
  buckets.reserve(histogram.buckets().size());
  for (const auto& [index, count] : histogram.buckets()) buckets.push_back(Array{index, count});
  return buckets;
}

Object to_object(const PathReport& row) {
  return {{"flag", row.flag},
          {"path", row.path},
          {"side", to_string(row.side)},
          {"write", row.write},
          {"context", row.context},
          {"attempts", row.counts.attempts},
          {"timeouts", row.counts.timeouts},
          {"deadlocks", row.counts.deadlocks},
          {"connection", row.counts.connection},
          {"other", row.counts.other},
          {"fallbacks", row.fallbacks},
          {"user_errors", row.user_errors},
          {"latency_us", to_array(row.latency)}};
}

Object to_object(const EvaluationReport& row) {
  Object object{{"flag", row.flag},
                {"variant", row.variant},
                {"reason", row.reason},
                {"context", row.context},
                {"count", row.count}};
  if (row.rule >= 0) object["rule"] = row.rule;
  return object;
}

Object to_object(const ShadowReport& row) {
  return {{"flag", row.flag},
          {"path", row.path},
          {"compared", row.compared},
          {"mismatches", row.mismatches},
          {"skipped", row.skipped}};
}

Object to_object(const BreakerReport& row) {
  return {
      {"flag", row.flag}, {"path", row.path}, {"open", row.open}, {"trips", row.trips}, {"cause", row.cause}};
}

template <typename Row>
Array to_array(const std::vector<Row>& rows) {
  Array array;
  array.reserve(rows.size());
  for (const auto& row : rows) array.push_back(to_object(row));
  return array;
}

// Names become labels, log lines and table cells: short, and without control characters.
Result<std::string> checked_name(std::string name, std::string_view key) {
  if (name.size() > kNameBytesMax) {
    return fail(user_error("report.name", fmt::format("{}: longer than {} bytes", key, kNameBytesMax)));
  }
  for (const char character : name) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte == 0x7F) {
      return fail(user_error("report.name",
                             fmt::format("{}: control character in {}", key, quote_for_message(name))));
    }
  }
  return name;
}

Result<std::string> name(const Object& object, std::string_view key) {
  PL_TRY(std::string text, json::get_string(object, key));
  if (text.empty()) return fail(user_error("report.name", fmt::format("{} is empty", key)));
  return checked_name(std::move(text), key);
}

Result<std::string> name_or_empty(const Object& object, std::string_view key) {
  PL_TRY(auto text, json::optional_string(object, key));
  return checked_name(std::move(text).value_or(""), key);
}

Result<std::uint64_t> count(const Object& object, std::string_view key) {
  PL_TRY(const auto number, json::optional_uint(object, key, kCountMax));
  return number.value_or(0);
}

Result<bool> boolean(const Object& object, std::string_view key, bool absent) {
  PL_TRY(const auto value, json::optional_bool(object, key));
  return value.value_or(absent);
}

Result<Histogram> histogram(const Object& object) {
  Histogram result;
  PL_TRY(const Array* buckets, json::optional_array(object, "latency_us"));
  if (!buckets) return result;
  const std::uint64_t last = Histogram::index_of(std::numeric_limits<std::uint64_t>::max());
  for (const auto& bucket : *buckets) {
    PL_TRY(const Array* pair, json::as_array(bucket, "latency_us"));
    if (pair->size() != 2) {
      return fail(user_error("report.histogram", "latency_us: a bucket is [index, count]"));
    }
    PL_TRY(const auto index, json::as_uint((*pair)[0], "latency_us index", last));
    PL_TRY(const auto samples, json::as_uint((*pair)[1], "latency_us count", kCountMax));
    result.add_bucket(static_cast<std::uint16_t>(index), samples);
  }
  return result;
}

Result<Side> side(const Object& object) {
  PL_TRY(const std::string text, json::get_string(object, "side"));
  if (text == to_string(Side::kLegacy)) return Side::kLegacy;
  if (text == to_string(Side::kNew)) return Side::kNew;
  return fail(user_error("report.side",
                         fmt::format("side: expected 'legacy' or 'new', found {}", quote_for_message(text))));
}

Status read(const Object& object, PathReport& row) {
  PL_TRY(row.flag, name(object, "flag"));
  PL_TRY(row.path, name(object, "path"));
  PL_TRY(row.side, side(object));
  PL_TRY(row.write, boolean(object, "write", false));
  PL_TRY(row.context, name_or_empty(object, "context"));
  PL_TRY(row.counts.attempts, count(object, "attempts"));
  PL_TRY(row.counts.timeouts, count(object, "timeouts"));
  PL_TRY(row.counts.deadlocks, count(object, "deadlocks"));
  PL_TRY(row.counts.connection, count(object, "connection"));
  PL_TRY(row.counts.other, count(object, "other"));
  PL_TRY(row.fallbacks, count(object, "fallbacks"));
  PL_TRY(row.user_errors, count(object, "user_errors"));
  PL_TRY(row.latency, histogram(object));
  return {};
}

// Helps to find branches that never match, and no more: not worth a refused report.
int rule(const Object& object) {
  const Value* value = json::find(object, "rule");
  if (value == nullptr || !value->is_int64()) return -1;
  const std::int64_t number = value->get_int64();
  return number >= 0 && number <= kRuleMax ? static_cast<int>(number) : -1;
}

Status read(const Object& object, EvaluationReport& row) {
  PL_TRY(row.flag, name(object, "flag"));
  PL_TRY(row.variant, name_or_empty(object, "variant"));
  PL_TRY(row.reason, name_or_empty(object, "reason"));
  PL_TRY(row.context, name_or_empty(object, "context"));
  PL_TRY(row.count, count(object, "count"));
  row.rule = rule(object);
  return {};
}

Status read(const Object& object, ShadowReport& row) {
  PL_TRY(row.flag, name(object, "flag"));
  PL_TRY(row.path, name(object, "path"));
  PL_TRY(row.compared, count(object, "compared"));
  PL_TRY(row.mismatches, count(object, "mismatches"));
  PL_TRY(row.skipped, count(object, "skipped"));
  return {};
}

Status read(const Object& object, BreakerReport& row) {
  PL_TRY(row.flag, name(object, "flag"));
  PL_TRY(row.path, name(object, "path"));
  PL_TRY(row.open, boolean(object, "open", false));
  PL_TRY(row.trips, count(object, "trips"));
  PL_TRY(row.cause, name_or_empty(object, "cause"));
  return {};
}

// `left` is what the row limit still allows over all four lists.
template <typename Row>
Status read_rows(const Object& object, std::string_view key, std::vector<Row>& rows, std::size_t& left) {
  PL_TRY(const Array* array, json::optional_array(object, key));
  if (!array) return {};
  if (array->size() > left) {
    return fail(user_error("report.size", fmt::format("more than {} rows", kRowsMax)));
  }
  left -= array->size();
  rows.resize(array->size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", key, i);
    PL_TRY(const Object* row, json::as_object((*array)[i], place));
    if (Status status = read(*row, rows[i]); !status) {
      Error error = std::move(status).error();
      error.message = fmt::format("{}: {}", place, error.message);
      return fail(std::move(error));
    }
  }
  return {};
}

Status read_head(const Object& object, Report& report) {
  PL_TRY(report.service, name(object, "service"));
  PL_TRY(report.instance, name(object, "instance"));
  PL_TRY(report.build, name_or_empty(object, "build"));
  // A client that does not say counts as one that still reads legacy: the contract phase must wait.
  PL_TRY(report.legacy_path, boolean(object, "legacy_path", true));
  PL_TRY(report.sequence, json::get_uint(object, "sequence"));
  PL_TRY(const Object* applied, json::get_object(object, "applied"));
  PL_TRY(report.applied.epoch, json::get_uint(*applied, "epoch"));
  PL_TRY(report.applied.number, json::get_uint(*applied, "revision"));
  PL_TRY(report.frozen, boolean(object, "frozen", false));
  return {};
}

}  // namespace

const char* to_string(Side side) {
  return side == Side::kNew ? "new" : "legacy";
}

std::string to_json(const Report& report) {
  const Object applied{{"epoch", report.applied.epoch}, {"revision", report.applied.number}};
  return json::dump(Object{{"service", report.service},
                           {"instance", report.instance},
                           {"build", report.build},
                           {"legacy_path", report.legacy_path},
                           {"sequence", report.sequence},
                           {"applied", applied},
                           {"frozen", report.frozen},
                           {"paths", to_array(report.paths)},
                           {"evaluations", to_array(report.evaluations)},
                           {"shadow", to_array(report.shadow)},
                           {"breakers", to_array(report.breakers)}});
}

Result<Report> report_from_json(std::string_view text) {
  PL_TRY(const Value value, json::parse(text, "report", kLimits));
  PL_TRY(const Object* object, json::as_object(value, "report"));
  Report report;
  PL_CHECK(read_head(*object, report));
  std::size_t left = kRowsMax;
  PL_CHECK(read_rows(*object, "paths", report.paths, left));
  PL_CHECK(read_rows(*object, "evaluations", report.evaluations, left));
  PL_CHECK(read_rows(*object, "shadow", report.shadow, left));
  PL_CHECK(read_rows(*object, "breakers", report.breakers, left));
  return report;
}

}  // namespace poundlock::flag
