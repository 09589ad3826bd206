#include "sim/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/scenario.h"

namespace poundlock::sim {
namespace {

using rollout::Mode;

constexpr Millis kTickEvery{2'000};
constexpr int kTicksMax = 1'500;
constexpr int kRows = 40;
constexpr int kOvertakenMax = 2;  // at the same time

std::string label(const rollout::Command& command) {
  const char* verb = command.kind == rollout::CommandKind::kRunStep    ? "run"
                     : command.kind == rollout::CommandKind::kUndoStep ? "undo"
                                                                       : "probe";
  return fmt::format("{}:{}", verb, command.step ? command.step->id : "");
}

const char* words(rollout::OutcomeKind kind) {
  switch (kind) {
    case rollout::OutcomeKind::kDone: return "done";
    case rollout::OutcomeKind::kUndone: return "undone";
    case rollout::OutcomeKind::kFailed: return "failed";
    case rollout::OutcomeKind::kStopped: return "stopped";
  }
  return "";
}

void move_item(rollout::Plan& plan, const std::string& id, const std::string& before) {
  const auto from = plan.index_of(id);
  const auto to = plan.index_of(before);
  if (!from || !to) return;
  rollout::Item item = plan.items[*from];
  plan.items.erase(plan.items.begin() + static_cast<std::ptrdiff_t>(*from));
  plan.items.insert(plan.items.begin() + static_cast<std::ptrdiff_t>(*to), std::move(item));
}

rollout::Plan mutated(rollout::Plan plan, Mutation mutation) {
  if (mutation == Mutation::kDropsUnapproved || mutation == Mutation::kDropsReaders) {
    for (const char* gate : {"instances_attested", "references_legacy", "readers_applied"})
      plan.gates[gate].waived = "a mutation";
    move_item(plan, "contract.drop", "contract.approve_release");
  }
  if (mutation == Mutation::kExposesEarly) move_item(plan, "expose.all_40", "dual_write.backfill");
  for (auto& item : plan.items) {
    if (mutation == Mutation::kLeaksExclusion && item.kind == rollout::ItemKind::kExposure)
      item.flag->exclusions = false;
    if (mutation == Mutation::kShortWindow) item.duration /= 10;
  }
  return plan;
}

}  // namespace

Result<flag::Revision> ProcessPublisher::publish(std::string_view, std::string_view flags_json) {
  return world_.publish(world_.process(process_), flags_json);
}

Process::Process(World& world, int number)
    : id(number),
      clock(world.clock_, dead),
      store(world.store_, dead, [&world, this] { return world.commit_fate(*this); }),
      publisher(world, number),
      database(world.server_, number) {
  // An overtaken process that sleeps is a moment in which the newer one works.
  clock.slept = [&world, this] {
    if (this != &world.current() && !world.current().dead && world.current().running.empty())
      world.tick(world.current());
  };
}

World::World(const SimulationOptions& options, rollout::Plan plan)
    : options_(options),
      required_(plan),
      plan_(mutated(std::move(plan), options.mutation)),
      random_(options.seed * 0x9e3779b97f4a7c15ULL + 1),
      server_(clock_, plan_, kRows),
      application_(
          clock_, server_, flags_, plan_, Random(options.seed ^ 0x5bd1e995),
          [this](const std::string& invariant, const std::string& what) { violated(invariant, what); }) {
  clock_.passed = [this](Millis by) { application_.passed(by); };
  server_.hooks.before = [this](int id) { before_round_trip(process(id)); };
  server_.hooks.fate = [this](int id) { return fate(process(id)); };
  server_.hooks.dead = [this](int id) { return process(id).dead; };
  server_.hooks.overtaken = [this](int id) { return &process(id) != &current(); };
  server_.hooks.committed = [this](const Effect& effect) { check_effect(effect); };
  server_.hooks.tell = [this](const std::string& line) { say(line); };
  server_.mutations.no_fence = options.mutation == Mutation::kNoFence;
  server_.mutations.loses_writes = options.mutation == Mutation::kLosesWrites;
  server_.mutations.keeps_sequence = options.mutation == Mutation::kLeavesRemains;
  server_.mutations.no_probe = options.mutation == Mutation::kNoProbe;
  store_.loses_commits = options.mutation == Mutation::kLostCommits;
  schema_at_start_ = server_.schema;
  entered_ = clock_.steady();
}

// --- processes -------------------------------------------------------------------------------------

void World::start() {
  for (int tries = 0; tries < 20; ++tries) {
    processes_.push_back(std::make_unique<Process>(*this, static_cast<int>(processes_.size())));
    Process& made = current();
    auto controller =
        engine::Controller::start(made.store, made.publisher, plan_, "simulated", "operator", clock_.wall());
    if (!controller)
      controller = engine::Controller::load(made.store, made.publisher, plan_.rollout, clock_.wall());
    if (!controller) {
      say(fmt::format("process {} cannot start: {}", made.id, controller.error().to_string()));
      made.dead = true;
      continue;
    }
    made.controller.emplace(std::move(*controller));
    break;
  }
}

// A new process reads the store and raises the generation; the one before it may still be at work.
void World::take_over(const std::string& why) {
  application_.metrics_began_anew();
  for (int tries = 0; tries < 50 && !violation_; ++tries) {
    processes_.push_back(std::make_unique<Process>(*this, static_cast<int>(processes_.size())));
    Process& made = current();
    auto controller = engine::Controller::load(made.store, made.publisher, plan_.rollout, clock_.wall());
    if (controller && !made.dead) {
      made.controller.emplace(std::move(*controller));
      say(fmt::format("process {} takes over with generation {}: {}", made.id,
                      made.controller->state().generation, why));
      return;
    }
    if (!controller) say(fmt::format("process {} cannot load: {}", made.id, controller.error().to_string()));
    made.dead = true;
    clock_.advance(Millis{500});
  }
  violated("progress", "no process could take over in 50 tries");
}

void World::step() {
  if (!current().dead && current().dies) current().dead = true;
  if (current().dead || !current().controller) take_over("the one before it has ended");
  if (violation_) return;
  if (faulty(true)) disturb();
  clock_.advance(kTickEvery);
  tick(current());
}

engine::TickInput World::observe(Process& p) {
  engine::TickInput input;
  input.steady = clock_.steady();
  input.outcomes = std::exchange(p.outcomes, {});
  if (clock_.steady() >= metrics_down_until_) {
    auto window = application_.window(p.controller->state().mark);
    if (!window.instances.empty()) input.app = std::move(window);
  }
  const auto value = [&](const char* name, double number) {
    input.values[name] = {number, clock_.wall(), "primary", ""};
  };
  value("collector.pg_stat_statements", 1);
  value("collector.statements_evicted", 0);
  value("statements.unreadable", 0);
  value("statements.shared_role", 0);
  value("statements.clock_s", static_cast<double>(clock_.steady().ms) / 1000);
  value("statements.legacy_refs", static_cast<double>(server_.legacy_reads));
  value("statements.fresh_refs", static_cast<double>(server_.fresh_reads));
  const std::string mode = server_.schema.sync_mode();
  value("sync_1.installed", !mode.empty() && mode != "off" ? 1 : 0);
  value("sync_1.opened", mode == "new" ? 1 : 0);
  for (const char* side : {"legacy", "fresh"}) {
    value(fmt::format("{}_objects.catalog", side).c_str(), 0);
    value(fmt::format("{}_objects.functions", side).c_str(), 0);
    value(fmt::format("{}_sessions.count", side).c_str(), 0);
  }
  return input;
}

// As the server's ticker does it: observe, decide, commit, publish, hand out.
void World::tick(Process& p) {
  if (p.dead || !p.controller || violation_) return;
  ++ticks_;
  p.next_tick = clock_.steady() + kTickEvery;
  engine::TickInput input = observe(p);
  const bool is_current = &p == &current();
  if (is_current) input.requests = orders();
  auto output = p.controller->tick(input, clock_.wall());
  if (p.dead) return;
  if (!output) {
    say(fmt::format("process {} tick: {}", p.id, output.error().to_string()));
    // Somebody else has written this rollout: stop, as the server does; a supervisor starts a new process.
    if (output.error().disposition == Disposition::kConflict) {
      p.cancel = true;
      if (is_current) p.dead = true;
    }
    // A part of the tick may have been committed and published before the rest failed.
    if (is_current) check_tick(p);
    return;
  }
  for (std::size_t i = 0; i < input.requests.size() && i < output->answers.size(); ++i) {
    const auto& request = input.requests[i];
    const bool accepted = !output->answers[i];
    if (accepted && request.kind == rollout::RequestKind::kPromote) promoted_ = true;
    say(fmt::format("{} orders {} {}: {}", request.who, static_cast<int>(request.kind), request.subject,
                    accepted ? "accepted" : output->answers[i]->message));
  }
  if (!is_current) return;
  check_tick(p);
  hand_out(p, output->commands);
}

void World::hand_out(Process& p, const std::vector<rollout::Command>& commands) {
  if (!p.running.empty()) {
    if (commands.empty() || label(commands.front()) != p.running) p.cancel = true;
    return;
  }
  if (!commands.empty()) execute(p, commands.front());
}

void World::execute(Process& p, const rollout::Command& command) {
  if (violation_) return;
  p.running = label(command);
  p.cancel = false;
  say(fmt::format("process {} gen {} {}", p.id, command.generation, p.running));
  rollout::StepOutcome outcome;
  if (command.step->kind == change::StepKind::kCheck) {
    // Checks look at a shadow, which this world has not; their gates are waived.
    outcome = {command.step->id, command.generation, rollout::OutcomeKind::kDone, {}, {}, {}};
  } else {
    if (!p.executor) {
      engine::ExecutorPorts ports;
      ports.databases.primary = &p.database;
      ports.clock = &p.clock;
      ports.seed = options_.seed + static_cast<std::uint64_t>(p.id);
      ports.stopped = [this, &p] { return p.dead || p.cancel || violation_.has_value(); };
      p.executor = std::make_unique<engine::Executor>(ports, plan_);
    }
    outcome = p.executor->carry_out(command);
  }
  if (p.dies) p.dead = true;
  say(fmt::format("process {} {} {}{}", p.id, p.running, p.dead ? "(dead) " : "",
                  outcome.error ? outcome.error->to_string() : words(outcome.kind)));
  if (outcome.error && outcome.error->code == "sim.statement") violated("simulation", outcome.error->message);
  p.running.clear();
  if (!p.dead && &p == &current()) p.outcomes.push_back(std::move(outcome));
}

Result<flag::Revision> World::publish(Process& p, std::string_view flags_json) {
  if (p.dead) return fail(make_error(Disposition::kRetry, "flags.process", "the process has ended"));
  if (faulty(options_.faults.store) && random_.one_in(60))
    return fail(make_error(Disposition::kRetry, "flags.busy", "the store is busy"));
  const auto before = flags_.revision();
  PL_TRY(const auto revision, flags_.publish(flags_json));
  if (revision != before) {
    say(fmt::format("process {} publishes revision {}", p.id, revision.number));
    check_published(p);
  }
  return revision;
}

bool World::finished() {
  if (current().dead || !current().controller) return false;
  const auto& state = current().controller->state();
  const bool published = flags_.current() == rollout::flag_document(plan_, state.flag);
  if (state.mode == Mode::kAborted) return published;
  if (state.mode != Mode::kDone) return false;
  // One seed in three brings the dropped side back once, and goes through to the end again.
  return restored_ || !options_.faults.operators || options_.seed % 3 != 0;
}

SimulationResult World::run() {
  start();
  while (!violation_ && ticks_ < kTicksMax && !finished()) step();
  for (int i = 0; i < 3 && !violation_ && !current().dead; ++i) step();
  SimulationResult out;
  if (!current().dead && current().controller && !violation_) check_end(current().controller->state());
  out.seed = options_.seed;
  out.violation = violation_;
  out.ended = violation_ ? "violated" : rollout::to_string(mode_);
  out.end_state = end_state();
  out.trace = trace_.lines();
  out.trace_hash = trace_.hash();
  out.ticks = ticks_;
  out.statements = statements_;
  out.commits = commits_;
  out.processes = static_cast<int>(processes_.size());
  if (current().controller) out.rollbacks = static_cast<int>(current().controller->state().rollbacks.size());
  out.simulated_seconds = static_cast<double>(clock_.steady().ms) / 1000;
  // Processes in the order in which the newest ends first: sessions belong to the server.
  while (!processes_.empty()) processes_.pop_back();
  return out;
}

SimulationResult simulate(const SimulationOptions& options) {
  auto plan = scenario_plan();
  if (!plan) {
    SimulationResult out;
    out.seed = options.seed;
    out.ended = "violated";
    out.violation = Violation{"simulation", "the scenario makes no plan: " + plan.error().to_string()};
    return out;
  }
  return World(options, std::move(*plan)).run();
}

}  // namespace poundlock::sim
