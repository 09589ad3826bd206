// The worker by itself: what happens where the system has nothing to give.
#include "client/shadow_worker.h"

#include <gtest/gtest.h>

#include <system_error>

namespace poundlock::client {
namespace {

TEST(ShadowWorker, WithoutAThreadTheReadIsSkipped) {
  const auto recorder = std::make_shared<Recorder>();
  int started = 0;
  {
    ShadowWorker worker(
        recorder, std::chrono::milliseconds(1'000), [&](std::function<void()>) -> std::thread {
          ++started;
          throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
        });
    for (int i = 0; i < 2; ++i) worker.post("f", "p", [](Attempt&) { return ShadowVerdict::kEqual; });
  }
  EXPECT_EQ(started, 2) << "there may be a thread the next time";
  flag::Report report;
  recorder->collect(report);
  ASSERT_EQ(report.shadow.size(), 1u);
  EXPECT_EQ(report.shadow[0].skipped, 2u);
  EXPECT_EQ(report.shadow[0].compared, 0u);
}

}  // namespace
}  // namespace poundlock::client
