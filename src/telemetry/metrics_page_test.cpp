#include "telemetry/metrics_page.h"

#include <gmock/gmock.h>

namespace poundlock::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

class StillClock : public Clock {
 public:
  TimePoint now() const override { return {1'000}; }
  TimePoint steady() const override { return {1'000}; }
  void sleep(Millis) override {}
};

TEST(MetricsPage, ShowsGaugesCountersAndTheProcess) {
  MetricsPage page;
  page.set("poundlock_flag_revision", "Newest revision.", {}, 7);
  page.set("poundlock_flag_revision", "Newest revision.", {}, 8);
  page.add("poundlock_http_requests_total", "Requests.", {{"status", "200"}}, 2);
  page.add("poundlock_http_requests_total", "Requests.", {{"status", "200"}}, 3);
  const std::string text = page.render(nullptr);
  EXPECT_THAT(text, HasSubstr("# HELP poundlock_flag_revision Newest revision.\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE poundlock_flag_revision gauge\npoundlock_flag_revision 8\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE poundlock_http_requests_total counter\n"));
  EXPECT_THAT(text, HasSubstr("poundlock_http_requests_total{status=\"200\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes "));
  EXPECT_THAT(text, Not(HasSubstr("process_resident_memory_bytes 0\n")));
}

TEST(MetricsPage, ReplacesWholeFamilies) {
  MetricsPage page;
  page.replace("poundlock_rollouts", "By phase.", {{{{"phase", "prepare"}}, 1}, {{{"phase", "expose"}}, 2}});
  page.replace("poundlock_rollouts", "By phase.", {{{{"phase", "contract"}}, 3}});
  const std::string text = page.render(nullptr);
  EXPECT_THAT(text, HasSubstr("poundlock_rollouts{phase=\"contract\"} 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("phase=\"prepare\"")));
}

TEST(MetricsPage, EscapesLabelsAndLeavesOutWhatPrometheusDoesNotAllow) {
  MetricsPage page;
  page.set("fine", "x", {{"name", "a\"b\\c\nd"}}, 1);
  page.set("not fine", "x", {}, 1);
  page.set("fine", "x", {{"not-fine", "y"}}, 1);
  const std::string text = page.render(nullptr);
  EXPECT_THAT(text, HasSubstr("fine{name=\"a\\\"b\\\\c\\nd\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("not")));
}

TEST(MetricsPage, ShowsWhatApplicationsReported) {
  StillClock clock;
  AppMetrics apps(clock);
  flag::Report report;
  report.service = "orders";
  report.instance = "a";
  report.sequence = 1;
  flag::PathReport path;
  path.flag = "f";
  path.path = "p";
  path.side = flag::Side::kNew;
  path.counts = {100, 1, 2, 0, 0};
  path.latency.add(10'000, 100);
  report.paths = {path};
  report.evaluations = {{"f", "on", "TARGETING_MATCH", "", 5}};
  apps.ingest(report);
  const std::string text = MetricsPage().render(&apps);
  EXPECT_THAT(text, HasSubstr("poundlock_path_attempts_total{flag=\"f\",path=\"p\",side=\"new\"} 100\n"));
  EXPECT_THAT(
      text,
      HasSubstr("poundlock_path_errors_total{cause=\"deadlock\",flag=\"f\",path=\"p\",side=\"new\"} 2\n"));
  EXPECT_THAT(text,
              HasSubstr("poundlock_path_latency_seconds_count{flag=\"f\",path=\"p\",side=\"new\"} 100\n"));
  EXPECT_THAT(text, HasSubstr("quantile=\"0.99\"} 0.010"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "poundlock_flag_evaluations_total{flag=\"f\",reason=\"TARGETING_MATCH\",variant=\"on\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("poundlock_instances{state=\"connected\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("poundlock_reports_total 1\n"));
}

}  // namespace
}  // namespace poundlock::telemetry
