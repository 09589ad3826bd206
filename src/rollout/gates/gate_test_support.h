// A gate's input that a test can shape: a plan of one changed column, observations, an application.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "rollout/gate.h"

namespace poundlock::rollout {

struct GateBench {
  Observations seen;
  std::optional<Baseline> baseline;
  std::map<std::string, double> marks;
  Plan plan;
  TimePoint now{1'000'000};
  Moment moment = Moment::kExpose;
  double exposure = 0.25;

  GateBench() {
    plan.rollout = "orders_status_v2";
    plan.legacy = {{"public", "orders", "legacy_status"}};
    plan.fresh = {{"public", "orders", "new_status"}};
    plan.flag.emplace();
    plan.flag->key = "schema_v2_migration";
    plan.flag->rules.push_back({"batch_processor", false, std::nullopt});
    change::Step verify;
    verify.id = "dual_write.verify";
    verify.kind = change::StepKind::kVerify;
    verify.in_step.emplace();
    verify.in_step->table = "\"public\".\"orders\"";
    verify.in_step->out_of_step = "\"new_status\" IS DISTINCT FROM \"legacy_status\"";
    Item item;
    item.id = verify.id;
    item.phase = Phase::kDualWrite;
    item.step = verify;
    plan.items.push_back(item);
  }

  // Everything newer than the application: reports came just now.
  AppWindow& app() {
    if (!seen.app) {
      seen.app.emplace();
      seen.app->newest = now;
    }
    return *seen.app;
  }
  PathStats& path(const std::string& name = "by_status") {
    for (PathStats& one : app().paths)
      if (one.path == name) return one;
    app().paths.push_back({name, false, {}, {}});
    return app().paths.back();
  }
  void observe(const std::string& name, double value, const std::string& detail = "") {
    seen.values[name] = {value, now, "test", detail};
  }
  void since(const std::string& name, double growth, const std::string& detail = "") {
    marks[name] = 100;
    observe(name, 100 + growth, detail);
  }
  // pg_stat_statements answers, a minute after the mark, and nobody did anything.
  void statements() {
    observe("collector.pg_stat_statements", 1);
    observe("statements.unreadable", 0);
    observe("statements.shared_role", 0);
    since("statements.clock_s", 60);
    since("collector.statements_evicted", 0);
    for (const char* name : {"write_calls", "write_rows", "own_rows", "versions", "legacy_refs", "fresh_refs",
                             "fresh_reads", "wal_bytes", "wal_fpi", "wal_records"})
      since(std::string("statements.") + name, 0);
    observe("statements.star", 0);
  }

  GateReading judge(const std::string& id) const {
    const Gate* gate = find_gate(id);
    EXPECT_NE(gate, nullptr) << id;
    if (!gate) return {};
    const GateInput in{
        seen, baseline ? &*baseline : nullptr, marks, plan, settings_of(*gate, plan), moment, exposure, 1,
        now};
    return gate->judge(in);
  }
};

inline void fill(SideStats& side, std::uint64_t attempts, std::uint64_t errors, double micros = 3000) {
  side.counts.attempts += attempts;
  side.counts.other += errors;
  // A spread of a factor of two, the same for every call: quantiles are those of this shape.
  for (std::uint64_t i = 0; i < attempts; ++i)
    side.latency.add(static_cast<std::uint64_t>(micros * (0.5 + static_cast<double>(i % 1000) / 1000)));
}

#define EXPECT_VERDICT(reading, wanted, words)                                        \
  do {                                                                                \
    const GateReading pl_reading = (reading);                                         \
    EXPECT_EQ(pl_reading.verdict, wanted) << pl_reading.reason;                       \
    EXPECT_NE(pl_reading.reason.find(words), std::string::npos) << pl_reading.reason; \
  } while (false)

}  // namespace poundlock::rollout
