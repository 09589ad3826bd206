// What one flag costs an application: nanoseconds and allocations of an evaluation in the client library,
// against a bucket check written by hand (the floor: nothing can be cheaper and still split users the same
// way), against what is usually written instead, a map of flags behind a mutex, and against the engines of
// others on the same flags and contexts. Further: two threads against one, 10,000 flags against a few, and
// reading 10,000 flags against parsing their text.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <new>
#include <thread>
#include <unordered_map>

#include "base/murmur3.h"
#include "client/context_attributes.h"
#include "flag/definition.h"
#include "flag/rollout_flag.h"
#include "poundlock/router.h"
#include "support/peers.h"
#include "support/report.h"

namespace {
thread_local std::uint64_t allocations = 0;
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

namespace poundlock {
namespace {

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

// The flags that everybody is measured with, and `more` like the percentage one beside them.
std::string document(std::size_t more = 0) {
  flag::RolloutFlag rollout;
  rollout.key = kKey;
  rollout.reached = flag::Stage::kLive;
  rollout.percentage = 25;
  rollout.internal_percentage = 100;
  rollout.excluded = {"batch_processor"};
  auto whole = bench::must(flag::compile_rollout_flag(rollout));
  const auto variants = boost::json::object{{"on", true}, {"off", false}};
  const boost::json::object fixed{{"state", "ENABLED"}, {"variants", variants}, {"defaultVariant", "on"}};
  const auto with_rule = [&](std::string_view rule) {
    boost::json::object flag = fixed;
    flag["defaultVariant"] = "off";
    flag["targeting"] = boost::json::parse({rule.data(), rule.size()});
    return flag;
  };
  whole["fixed"] = fixed;
  whole["targeted"] = with_rule(
      R"({"if": [{"in": [{"var": "country"}, ["us", "ca"]]}, "on",
                 {"==": [{"var": "tier"}, "gold"]}, "on", "off"]})");
  whole["percentage"] = with_rule(
      R"({"fractional": [{"cat": ["percentage", {"var": "targetingKey"}]}, ["on", 25], ["off", 75]]})");
  const boost::json::value like = whole["percentage"];
  for (std::size_t i = 0; i < more; ++i) whole["flag-" + std::to_string(i)] = like;
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

constexpr const char* kCountries[] = {"us", "de", "ca", "fr"};

std::vector<Context> make_users() {
  std::vector<Context> users(kUsers);
  for (std::size_t i = 0; i < kUsers; ++i) {
    users[i].targeting_key = "customer-" + std::to_string(100'000 + i * 7'919);
    users[i].attributes = {{"context", std::string("web")},
                           {"country", std::string(kCountries[i % 4])},
                           {"tier", std::string(i % 3 == 0 ? "gold" : "iron")}};
  }
  return users;
}

std::string contexts_of(const std::vector<Context>& users) {
  boost::json::array list;
  for (std::size_t i = 0; i < users.size(); ++i) {
    list.push_back(boost::json::object{{"targetingKey", users[i].targeting_key},
                                       {"context", "web"},
                                       {"country", kCountries[i % 4]},
                                       {"tier", i % 3 == 0 ? "gold" : "iron"}});
  }
  return boost::json::serialize(list);
}

struct Options {
  bool json = false;
  bool peers = true;
  std::size_t evaluations = 200'000;
  int rounds = 9;
};

using Users = std::vector<Context>;

// One thread, and the floors. Answers the medians that peers are compared with.
struct Ours {
  double fixed = 0, targeted = 0, percentage = 0;
  std::size_t in = 0;
};

// The evaluator without the client around it: no copy of the snapshot to check, nothing counted.
Ours alone(const Options& options, const Users& users, bench::Report& report) {
  const auto snapshot = bench::must(flag::Snapshot::compile(document(), "bench"));
  Sample fixed, targeted, percentage;
  std::uint64_t sink = 0;
  const auto evaluate = [&](std::string_view key, std::size_t i) {
    const auto got = snapshot->evaluate(key, client::ContextAttributes(users[i]), 0);
    return got.variant != nullptr && got.variant->value.as_bool();
  };
  for (int round = -1; round < options.rounds; ++round) {
    if (round == 0) fixed = targeted = percentage = Sample{};
    measure(fixed, options.evaluations, sink, [&](auto i) { return evaluate("fixed", i); });
    measure(targeted, options.evaluations, sink, [&](auto i) { return evaluate("targeted", i); });
    measure(percentage, options.evaluations, sink, [&](auto i) { return evaluate("percentage", i); });
  }
  const Ours ours{bench::median(fixed.ns), bench::median(targeted.ns), bench::median(percentage.ns)};
  report.add("alone_static_ns", "evaluator alone, static flag", ours.fixed, "ns");
  report.add("alone_targeted_ns", "evaluator alone, targeted flag", ours.targeted, "ns");
  report.add("alone_percentage_ns", "evaluator alone, percentage rule", ours.percentage, "ns");
  return ours;
}

Ours one_thread(const Options& options, const Client& client, const Users& users, bench::Report& report) {
  const Router router(client, kKey);
  LockedFlags locked;
  for (int i = 0; i < 30; ++i) locked.set("flag-" + std::to_string(i), 10);
  locked.set("percentage", 25);
  const std::string name = "percentage";
  Sample floor, mutexed, fixed, targeted, percentage, rollout, unit;
  std::uint64_t sink = 0, by_hand = 0, by_client = 0;
  const std::size_t n = options.evaluations;
  for (int round = -1; round < options.rounds; ++round) {
    if (round == 0)
      floor = mutexed = fixed = targeted = percentage = rollout = unit = Sample{};  // -1 warmed up
    measure(floor, n, by_hand, [&](auto i) { return in_bucket(name, users[i].targeting_key, 25); });
    measure(mutexed, n, sink, [&](auto i) { return locked.get(name, users[i].targeting_key); });
    measure(fixed, n, sink, [&](auto i) { return client.bool_value("fixed", false, users[i]); });
    measure(targeted, n, sink, [&](auto i) { return client.bool_value("targeted", false, users[i]); });
    measure(percentage, n, by_client,
            [&](auto i) { return client.bool_value("percentage", false, users[i]); });
    measure(rollout, n, sink, [&](auto i) { return client.bool_value(kKey, false, users[i]); });
    measure(unit, n, sink, [&](auto i) { return router.begin(users[i]).side() == Side::kNew; });
  }
  if (by_hand != by_client || sink == 0) bench::give_up("the client and the floor split users differently");

  Ours ours{bench::median(fixed.ns), bench::median(targeted.ns), bench::median(percentage.ns)};
  for (const Context& user : users) ours.in += client.bool_value("percentage", false, user) ? 1 : 0;
  const double base = bench::median(floor.ns);
  report.add("floor_ns", "murmur3 bucket by hand", base, "ns");
  report.add("mutex_map_ns", "the same behind a mutex and a map", bench::median(mutexed.ns), "ns");
  report.add("static_ns", "client, static flag", ours.fixed, "ns", Aim::kAtMost, 30);
  report.add("targeted_ns", "client, targeted flag (if, in, ==)", ours.targeted, "ns", Aim::kAtMost, 100);
  report.add("percentage_ns", "client, percentage rule", ours.percentage, "ns", Aim::kAtMost, 50);
  report.add("rollout_ns", "client, a rollout's flag (4 rules, 1 attribute)", bench::median(rollout.ns),
             "ns");
  report.add("unit_ns", "Router::begin, a rollout's stage", bench::median(unit.ns), "ns");
  report.add("percentage_to_floor", "percentage rule to the floor", ours.percentage / base, "x");
  report.add("percentage_to_mutex_map", "percentage rule to mutex and map",
             ours.percentage / bench::median(mutexed.ns), "x");
  const auto of_all = [](auto... samples) {
    return static_cast<double>((samples.allocated + ...)) / static_cast<double>((samples.count + ...));
  };
  report.add("allocations", "allocations of an evaluation", of_all(fixed, targeted, percentage, rollout), "",
             Aim::kAtMost, 0);
  report.add("unit_allocations", "allocations of Router::begin", of_all(unit), "", Aim::kAtMost, 0);
  return ours;
}

// Evaluations a second of `count` threads together, by the clock on the wall and by the threads' CPU time:
// the second is what shared cache lines or locks would cost, also where other programs keep the cores busy.
struct Throughput {
  double wall = 0, cpu = 0;
};

Throughput throughput(const Client& client, const Users& users, std::size_t count, std::size_t evaluations) {
  std::atomic<std::size_t> ready{0};
  std::atomic<std::uint64_t> sink{0};
  std::vector<std::thread> threads;
  std::vector<double> begin(count), end(count), cpu(count);
  for (std::size_t t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      std::uint64_t in = client.bool_value("percentage", false, users[t]) ? 1 : 0;
      for (++ready; ready < count;) std::this_thread::yield();
      begin[t] = bench::seconds_now();
      cpu[t] = cpu_ns();
      for (std::size_t i = 0; i < evaluations; ++i) {
        in += client.bool_value("percentage", false, users[i & (kUsers - 1)]) ? 1 : 0;
      }
      cpu[t] = (cpu_ns() - cpu[t]) / 1e9;
      end[t] = bench::seconds_now();
      sink += in;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double took =
      *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
  const auto total = static_cast<double>(evaluations * count);
  return {total / took, total / *std::max_element(cpu.begin(), cpu.end())};
}

void two_threads(const Options& options, const Client& client, const Users& users, bench::Report& report) {
  std::vector<double> wall, cpu;
  for (int round = -1; round < options.rounds; ++round) {
    const Throughput one = throughput(client, users, 1, options.evaluations * 4);
    const Throughput two = throughput(client, users, 2, options.evaluations * 4);
    if (round < 0) continue;
    wall.push_back(two.wall / one.wall);
    cpu.push_back(two.cpu / one.cpu);
  }
  report.add("two_threads", "two threads to one, percentage rule", bench::median(wall), "x", Aim::kAtLeast,
             1.9);
  report.add("two_threads_cpu", "the same by CPU time", bench::median(cpu), "x", Aim::kAtLeast, 1.9);
}

constexpr std::size_t kMany = 10'000;

void many_flags(const Options& options, const Client& few, const Users& users, bench::Report& report) {
  const std::string text = document(kMany - 5);  // five are there anyway
  const Client many = Client::offline(text);
  Sample with_few, with_many;
  std::uint64_t in_few = 0, in_many = 0;
  for (int round = -1; round < options.rounds; ++round) {
    if (round == 0) with_few = with_many = Sample{};
    measure(with_few, options.evaluations, in_few,
            [&](auto i) { return few.bool_value("percentage", false, users[i]); });
    measure(with_many, options.evaluations, in_many,
            [&](auto i) { return many.bool_value("percentage", false, users[i]); });
  }
  if (in_few != in_many || in_few == 0) bench::give_up("the flags beside it changed an answer");
  report.add("many_flags", "percentage rule among 10,000 flags to among 5",
             bench::median(with_many.ns) / bench::median(with_few.ns), "x", Aim::kAtMost, 1.05);

  std::vector<double> parse, load, read;
  for (int round = 0; round < options.rounds; ++round) {
    const auto timed = [](std::vector<double>& into, auto&& work) {
      const double begin = cpu_ns();
      work();
      into.push_back((cpu_ns() - begin) / 1e6);
    };
    timed(parse, [&] { boost::json::parse(text); });
    timed(load, [&] { bench::must(flag::Snapshot::compile(text, "bench")); });
    timed(read, [&] { bench::must(flag::parse_definition(text, "bench.json")); });
  }
  report.add("parse_ms", "Boost.JSON parses the text of 10,000 flags", bench::median(parse), "ms");
  report.add("load_ms", "a snapshot of them is loaded", bench::median(load), "ms", Aim::kAtMost, 200);
  report.add("load_to_parse", "loading to parsing alone", bench::median(load) / bench::median(parse), "x");
  report.add("definition_ms", "they are checked as a definition file", bench::median(read), "ms");
}

void against_peers(const Ours& ours, const Ours& evaluator, const Users& users, std::size_t evaluations,
                   bench::Report& report) {
  int number = 0;
  for (const bench::Peer& peer : bench::run_peers(document(), contexts_of(users), evaluations)) {
    if (!peer.skipped.empty()) {
      report.note("skipped: " + peer.name + ": " + peer.skipped);
      continue;
    }
    const std::string key = "peer" + std::to_string(++number);
    const auto add = [&](const char* what, double theirs, double us, double bare) {
      report.add(key + "_" + what + "_ns", peer.name + ", " + what, theirs, "ns");
      report.add(key + "_" + what, "  to the client's", theirs / us, "x", Aim::kAtLeast, 10);
      report.add(key + "_" + what + "_alone", "  to the evaluator's alone", theirs / bare, "x");
    };
    add("static", peer.static_ns, ours.fixed, evaluator.fixed);
    add("targeted", peer.targeted_ns, ours.targeted, evaluator.targeted);
    add("percentage", peer.percentage_ns, ours.percentage, evaluator.percentage);
    report.note(peer.name + " lets " + std::to_string(peer.in) + " of " + std::to_string(users.size()) +
                " contexts in at 25 %; the client " + std::to_string(ours.in));
  }
}

}  // namespace

static int run(int argc, char** argv) {
  CLI::App app{"nanoseconds of one flag evaluation"};
  Options options;
  app.add_flag("--json", options.json);
  app.add_flag("!--no-peers", options.peers, "leave out the engines of others");
  app.add_option("--evaluations", options.evaluations, "in each round")
      ->check(CLI::Range(1'000, 100'000'000));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 1'000));
  CLI11_PARSE(app, argc, argv);

  const Client client = Client::offline(document());
  const Users users = make_users();
  bench::Report report("flag", "flag evaluation, one thread, CPU time");
  const Ours ours = one_thread(options, client, users, report);
  const Ours evaluator = alone(options, users, report);
  two_threads(options, client, users, report);
  many_flags(options, client, users, report);
  if (options.peers) against_peers(ours, evaluator, users, options.evaluations, report);
  report.print(options.json);
}

}  // namespace poundlock

int main(int argc, char** argv) {
  return poundlock::run(argc, argv);
}
