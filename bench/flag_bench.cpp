// What one flag costs an application: nanoseconds and allocations of an evaluation in the client library,
// against a bucket check written by hand (the floor: nothing can be cheaper and still split users the same
// way) and against what is usually written instead, a map of flags behind a mutex.
#include <time.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>

#include "base/murmur3.h"
#include "flag/rollout_flag.h"
#include "poundlock/router.h"
#include "support/report.h"

namespace {
std::uint64_t allocations = 0;  // of this program's only thread
}  // namespace

// Not inlined: g++ would otherwise see malloc and delete, or new and free, as a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace {

using namespace poundlock;
using bench::Aim;

constexpr std::size_t kUsers = 1'024;  // a power of two; enough that no branch predictor knows them all
constexpr const char* kKey = "schema_v2_migration";

struct Sample {
  std::vector<double> ns;
  std::uint64_t allocated = 0;
  std::uint64_t count = 0;
};

// CPU time of this thread: what other programs take from the machine is not in it.
double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <typename Work>
void measure(Sample& sample, std::size_t rounds, std::uint64_t& sink, Work&& work) {
  const std::uint64_t before = allocations;
  const double begin = cpu_ns();
  for (std::size_t i = 0; i < rounds; ++i) sink += work(i & (kUsers - 1)) ? 1 : 0;
  const double took = cpu_ns() - begin;
  sample.allocated += allocations - before;
  sample.count += rounds;
  sample.ns.push_back(took / static_cast<double>(rounds));
}

std::string document() {
  flag::RolloutFlag rollout;
  rollout.key = kKey;
  rollout.reached = flag::Stage::kLive;
  rollout.percentage = 25;
  rollout.internal_percentage = 100;
  rollout.excluded = {"batch_processor"};
  auto whole = bench::must(flag::compile_rollout_flag(rollout));
  const auto variants = boost::json::object{{"on", true}, {"off", false}};
  whole["fixed"] =
      boost::json::object{{"state", "ENABLED"}, {"variants", variants}, {"defaultVariant", "on"}};
  whole["percentage"] = boost::json::object{
      {"state", "ENABLED"},
      {"variants", variants},
      {"defaultVariant", "off"},
      {"targeting",
       {{"fractional", {{{"cat", {"percentage", {{"var", "targetingKey"}}}}}, {"on", 25}, {"off", 75}}}}}};
  return bench::must(flag::snapshot_document({{whole}}, {1, 1}));
}

bool in_bucket(std::string_view key, std::string_view user, std::uint64_t percentage) {
  char text[128];
  const std::size_t size = key.size() + user.size();
  if (size > sizeof text) return false;
  key.copy(text, key.size());
  user.copy(text + key.size(), user.size());
  return ((std::uint64_t{murmur3_x86_32({text, size})} * 100) >> 32) < percentage;
}

// The usual design: looked up by name in a map, under a mutex so that it can be changed.
class LockedFlags {
 public:
  void set(const std::string& key, std::uint64_t percentage) {
    const std::lock_guard lock(mutex_);
    flags_[key] = percentage;
  }
  bool get(const std::string& key, std::string_view user) const {
    const std::lock_guard lock(mutex_);
    const auto found = flags_.find(key);
    return found != flags_.end() && in_bucket(key, user, found->second);
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::uint64_t> flags_;
};

std::vector<Context> make_users() {
  std::vector<Context> users(kUsers);
  for (std::size_t i = 0; i < kUsers; ++i) {
    users[i].targeting_key = "customer-" + std::to_string(100'000 + i * 7'919);
    users[i].attributes = {{"context", std::string("web")}};
  }
  return users;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"nanoseconds of one flag evaluation"};
  bool json = false;
  std::size_t evaluations = 200'000;
  int rounds = 9;
  app.add_flag("--json", json);
  app.add_option("--evaluations", evaluations, "in each round")->check(CLI::Range(1'000, 100'000'000));
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 1'000));
  CLI11_PARSE(app, argc, argv);

  const Client client = Client::offline(document());
  const Router router(client, kKey);
  const auto users = make_users();
  LockedFlags locked;
  for (int i = 0; i < 30; ++i) locked.set("flag-" + std::to_string(i), 10);
  locked.set("percentage", 25);
  const std::string name = "percentage";
  Sample floor, mutexed, fixed, percentage, rollout, unit;
  std::uint64_t sink = 0, by_hand = 0, by_client = 0;
  for (int round = -1; round < rounds; ++round) {
    if (round == 0) floor = mutexed = fixed = percentage = rollout = unit = Sample{};  // -1 warmed up
    measure(floor, evaluations, by_hand, [&](auto i) { return in_bucket(name, users[i].targeting_key, 25); });
    measure(mutexed, evaluations, sink, [&](auto i) { return locked.get(name, users[i].targeting_key); });
    measure(fixed, evaluations, sink, [&](auto i) { return client.bool_value("fixed", false, users[i]); });
    measure(percentage, evaluations, by_client,
            [&](auto i) { return client.bool_value("percentage", false, users[i]); });
    measure(rollout, evaluations, sink, [&](auto i) { return client.bool_value(kKey, false, users[i]); });
    measure(unit, evaluations, sink, [&](auto i) { return router.begin(users[i]).side() == Side::kNew; });
  }
  if (by_hand != by_client || sink == 0) bench::give_up("the client and the floor split users differently");

  bench::Report report("flag", "flag evaluation, one thread, CPU time");
  const double base = bench::median(floor.ns);
  const double ours = bench::median(percentage.ns);
  report.add("floor_ns", "murmur3 bucket by hand", base, "ns");
  report.add("mutex_map_ns", "the same behind a mutex and a map", bench::median(mutexed.ns), "ns");
  report.add("static_ns", "client, static flag", bench::median(fixed.ns), "ns");
  report.add("percentage_ns", "client, percentage rule", ours, "ns", Aim::kAtMost, 50);
  report.add("rollout_ns", "client, a rollout's flag (4 rules, 1 attribute)", bench::median(rollout.ns),
             "ns");
  report.add("unit_ns", "Router::begin, a rollout's stage", bench::median(unit.ns), "ns");
  report.add("percentage_to_floor", "percentage rule to the floor", ours / base, "x");
  report.add("percentage_to_mutex_map", "percentage rule to mutex and map", ours / bench::median(mutexed.ns),
             "x");
  const double allocated = static_cast<double>(fixed.allocated + percentage.allocated + rollout.allocated) /
                           static_cast<double>(fixed.count + percentage.count + rollout.count);
  report.add("allocations", "allocations of an evaluation", allocated, "", Aim::kAtMost, 0);
  report.add("unit_allocations", "allocations of Router::begin",
             static_cast<double>(unit.allocated) / static_cast<double>(unit.count), "", Aim::kAtMost, 0);
  report.print(json);
}
