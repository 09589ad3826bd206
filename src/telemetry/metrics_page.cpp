#include "telemetry/metrics_page.h"

#include <prometheus/check_names.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

namespace poundlock::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::size_t kFamiliesMax = 512;
constexpr std::size_t kSamplesMax = 1'000;

bool are_fine(const Labels& labels) {
  return std::all_of(labels.begin(), labels.end(),
                     [](const auto& label) { return prometheus::CheckLabelName(label.first); });
}

ClientMetric metric_of(const Labels& labels) {
  ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  return metric;
}

void put(MetricFamily& family, const Labels& labels, double value) {
  ClientMetric metric = metric_of(labels);
  if (family.type == MetricType::Counter) metric.counter.value = value;
  if (family.type == MetricType::Gauge) metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

MetricFamily single(std::string name, std::string help, MetricType type, double value) {
  MetricFamily family{std::move(name), std::move(help), type, {}};
  put(family, {}, value);
  return family;
}

// From /proc/self/stat (proc(5)): fields 14, 15 are user and system time in ticks, 22 the start in ticks
// after boot, 24 the resident pages. They are counted after the name in parentheses, which may hold spaces.
void add_process(std::vector<MetricFamily>& out) {
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return;
  std::istringstream rest(text.substr(name_end + 1));
  const std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
  if (fields.size() < 22) return;
  const auto number = [&](std::size_t field) { return std::strtod(fields[field - 3].c_str(), nullptr); };
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  out.push_back(single("process_resident_memory_bytes", "Resident memory of this process.", MetricType::Gauge,
                       number(24) * static_cast<double>(sysconf(_SC_PAGESIZE))));
  out.push_back(single("process_cpu_seconds_total", "User and system time of this process.",
                       MetricType::Counter, (number(14) + number(15)) / ticks));
  out.push_back(single("process_threads", "Threads of this process.", MetricType::Gauge, number(20)));
}

Labels labels_of(const PathTotal& total) {
  return {{"flag", total.flag}, {"path", total.path}, {"side", flag::to_string(total.side)}};
}

Labels with(Labels labels, const char* name, const char* value) {
  labels[name] = value;
  return labels;
}

ClientMetric latency_of(const PathTotal& total) {
  ClientMetric metric = metric_of(labels_of(total));
  metric.summary.sample_count = total.latency.count();
  double sum_us = 0;
  for (const auto& [bucket, count] : total.latency.buckets()) {
    sum_us += Histogram::upper_edge(bucket) * static_cast<double>(count);
  }
  metric.summary.sample_sum = sum_us / 1e6;
  for (const double q : {0.5, 0.95, 0.99}) {
    metric.summary.quantile.push_back({q, total.latency.quantile(q) / 1e6});
  }
  return metric;
}

void add_paths(std::vector<MetricFamily>& out, const AppMetrics& apps) {
  MetricFamily attempts{"poundlock_path_attempts_total",
                        "Attempts of a path on each side, before any fallback.",
                        MetricType::Counter,
                        {}};
  MetricFamily errors{"poundlock_path_errors_total", "Failed attempts by cause.", MetricType::Counter, {}};
  MetricFamily fallbacks{"poundlock_path_fallbacks_total",
                         "Reads that failed on new and were answered by legacy.",
                         MetricType::Counter,
                         {}};
  MetricFamily users{"poundlock_path_user_errors_total",
                     "Errors that reached the application's caller.",
                     MetricType::Counter,
                     {}};
  MetricFamily latency{"poundlock_path_latency_seconds",
                       "Latency of every attempt, since the server started.",
                       MetricType::Summary,
                       {}};
  for (const PathTotal& total : apps.path_totals()) {
    const Labels labels = labels_of(total);
    put(attempts, labels, static_cast<double>(total.counts.attempts));
    put(errors, with(labels, "cause", "timeout"), static_cast<double>(total.counts.timeouts));
    put(errors, with(labels, "cause", "deadlock"), static_cast<double>(total.counts.deadlocks));
    put(errors, with(labels, "cause", "connection"), static_cast<double>(total.counts.connection));
    put(errors, with(labels, "cause", "other"), static_cast<double>(total.counts.other));
    put(fallbacks, labels, static_cast<double>(total.fallbacks));
    put(users, labels, static_cast<double>(total.user_errors));
    latency.metric.push_back(latency_of(total));
  }
  for (MetricFamily* family : {&attempts, &errors, &fallbacks, &users, &latency})
    out.push_back(std::move(*family));
}

void add_apps(std::vector<MetricFamily>& out, const AppMetrics& apps) {
  add_paths(out, apps);
  MetricFamily evaluations{
      "poundlock_flag_evaluations_total", "Flag evaluations in applications.", MetricType::Counter, {}};
  for (const EvaluationTotal& total : apps.evaluation_totals()) {
    put(evaluations, {{"flag", total.flag}, {"variant", total.variant}, {"reason", total.reason}},
        static_cast<double>(total.count));
  }
  out.push_back(std::move(evaluations));
  std::map<std::string, double> instances{{"connected", 0}, {"silent", 0}, {"departed", 0}};
  for (const auto& instance : apps.instances()) {
    ++instances[instance.departed ? "departed" : instance.connected ? "connected" : "silent"];
  }
  MetricFamily family{"poundlock_instances", "Application instances that are known.", MetricType::Gauge, {}};
  for (const auto& [state, count] : instances) put(family, {{"state", state}}, count);
  out.push_back(std::move(family));
  out.push_back(single("poundlock_reports_total", "Reports of applications that were counted.",
                       MetricType::Counter, static_cast<double>(apps.reports())));
  out.push_back(single("poundlock_report_rows_dropped_total", "Rows of reports beyond the tables' bounds.",
                       MetricType::Counter, static_cast<double>(apps.dropped())));
}

}  // namespace

MetricsPage::Family* MetricsPage::family(std::string_view name, std::string_view help, bool counter) {
  auto found = families_.find(name);
  if (found == families_.end()) {
    if (families_.size() >= kFamiliesMax || !prometheus::CheckMetricName(std::string(name))) return nullptr;
    found = families_.try_emplace(std::string(name), Family{std::string(help), counter, {}}).first;
  }
  return &found->second;
}

void MetricsPage::set(std::string_view name, std::string_view help, Labels labels, double value) {
  const std::lock_guard guard(mutex_);
  Family* found = family(name, help, false);
  if (found == nullptr || !are_fine(labels)) return;
  if (found->samples.size() >= kSamplesMax && !found->samples.contains(labels)) return;
  found->samples[std::move(labels)] = value;
}

void MetricsPage::replace(std::string_view name, std::string_view help, Samples samples) {
  const std::lock_guard guard(mutex_);
  Family* found = family(name, help, false);
  if (found == nullptr) return;
  found->samples.clear();
  for (auto& [labels, value] : samples) {
    if (found->samples.size() < kSamplesMax && are_fine(labels)) found->samples[std::move(labels)] = value;
  }
}

void MetricsPage::add(std::string_view name, std::string_view help, Labels labels, double by) {
  const std::lock_guard guard(mutex_);
  Family* found = family(name, help, true);
  if (found == nullptr || !are_fine(labels) || by < 0) return;
  if (found->samples.size() >= kSamplesMax && !found->samples.contains(labels)) return;
  found->samples[std::move(labels)] += by;
}

std::string MetricsPage::render(const AppMetrics* apps) const {
  std::vector<MetricFamily> out;
  {
    const std::lock_guard guard(mutex_);
    for (const auto& [name, family] : families_) {
      MetricFamily made{name, family.help, family.counter ? MetricType::Counter : MetricType::Gauge, {}};
      for (const auto& [labels, value] : family.samples) put(made, labels, value);
      out.push_back(std::move(made));
    }
  }
  add_process(out);
  if (apps != nullptr) add_apps(out, *apps);
  return prometheus::TextSerializer().Serialize(out);
}

}  // namespace poundlock::telemetry
