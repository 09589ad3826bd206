// A fixture's tests against a newer PostgreSQL than the system's: `class NewerXTest : public OnNewer<XTest>`.
// Where its programs cannot be had, each test is skipped and says why; a server that does not start fails.
#pragma once

#include <string>

#include "support/packages.h"
#include "support/rollout_fixture.h"

namespace poundlock::scenario {

template <typename Fixture>  // a RolloutFixture
class OnNewer : public Fixture {
 protected:
  static void SetUpTestSuite() {
    const auto programs = newer_postgres();
    if (!programs) {
      skipped_ = programs.error();
      return;
    }
    ClusterOptions options;
    options.programs = *programs;
    auto started = PgCluster::start(options);
    ASSERT_TRUE(started) << started.error().to_string();
    Fixture::cluster_ = started->release();
  }
  void SetUp() override {
    if (!skipped_.empty()) GTEST_SKIP() << skipped_;
    Fixture::SetUp();
  }

  static inline std::string skipped_;
};

}  // namespace poundlock::scenario
