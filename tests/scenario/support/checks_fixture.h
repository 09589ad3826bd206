// The checks of the prepare phase against a real server, on a shadow that pg_dump makes beside it.
#pragma once

#include "engine/checks.h"
#include "postgres/pg_dump_shadow.h"
#include "rollout/plan.h"
#include "rollout/spec.h"
#include "support/rollout_fixture.h"

namespace poundlock::scenario {

class ChecksFixture : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    must("DROP DATABASE IF EXISTS app_poundlock_shadow WITH (FORCE)");
  }

  // `change` and `paths` as in a rollout file; the rest is usual.
  rollout::Plan plan_of(const std::string& change, const std::string& paths, const std::string& more = {}) {
    const std::string text =
        "rollout: test\nchange:\n" + change + "paths:\n" + paths +
        "feature_flags:\n  new_side:\n    enabled: true\n    rollout_strategy: percentage\n"
        "    steps: [50, 100]\n    increment_interval: 15m\n" +
        more;
    const auto spec = rollout::parse_rollout(text, "rollout.yaml");
    EXPECT_TRUE(spec) << spec.error().to_string();
    if (!spec) return {};
    auto plan = rollout::make_plan(*spec, catalog());
    EXPECT_TRUE(plan) << plan.error().to_string();
    return plan ? std::move(*plan) : rollout::Plan{};
  }

  engine::ExecutorPorts ports_with(ports::Shadow& shadow) {
    engine::ExecutorPorts out;
    out.shadow = &shadow;
    out.clock = &clock_;
    out.load_catalog = [](ports::Session& session) { return postgres::load_catalog(session); };
    return out;
  }

  std::unique_ptr<ports::Shadow> shadow(std::uint64_t rows_max = 20'000) {
    postgres::ShadowOptions options;
    options.rows_max = rows_max;
    return postgres::make_pg_dump_shadow(*database_, clock_, std::move(options));
  }
};

}  // namespace poundlock::scenario
