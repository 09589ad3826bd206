#include "server/driver.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/collector.h"
#include "engine/lock_watch.h"

namespace poundlock::server {
namespace {

constexpr std::chrono::milliseconds kTickEvery{100};
constexpr Millis kCollectEvery{200};
constexpr Millis kLockWatchEvery{20};
constexpr std::chrono::seconds kAnswerWithin{10};
constexpr std::chrono::seconds kConnectEvery{2};
constexpr std::size_t kPendingMax = 64;
const std::vector<std::string> kNobody;  // excluded: everybody is released

std::string label(const rollout::Command& command) {
  const char* verb = command.kind == rollout::CommandKind::kRunStep    ? "run"
                     : command.kind == rollout::CommandKind::kUndoStep ? "undo"
                                                                       : "probe";
  return fmt::format("{}:{}", verb, command.step ? command.step->id : "");
}

Error stopping() {
  return make_error(Disposition::kRetry, "server.stopping", "the server is stopping")
      .with_hint("give the order again once it is back");
}

}  // namespace

Driver::Driver(engine::Controller controller, Connect connect, ports::MetricsSource& metrics, Clock& clock,
               std::function<void()> on_change)
    : name_(controller.plan().rollout),
      connect_(std::move(connect)),
      metrics_(metrics),
      clock_(clock),
      on_change_(std::move(on_change)),
      plan_(std::make_shared<const rollout::Plan>(controller.plan())),
      excluded_(plan_->excluded_contexts()),
      controller_(std::move(controller)) {
  view_.plan = plan_;
  view_.state = controller_.state();
  threads_.emplace_back([this] { tick_loop(); });
  threads_.emplace_back([this] { execute_loop(); });
  threads_.emplace_back([this] { collect_loop(); });
  threads_.emplace_back([this] { watch_locks_loop(); });
}

Driver::~Driver() {
  stop();
}

void Driver::begin_stop() {
  stop_ = true;
  cancel_running();
  wake();
}

void Driver::stop() {
  begin_stop();
  for (auto& thread : threads_)
    if (thread.joinable()) thread.join();
  std::lock_guard lock(mutex_);
  for (auto& one : pending_) one->answer.set_value(stopping());
  pending_.clear();
}

std::function<bool()> Driver::stopped() {
  return [this] { return stop_.load() || cancel_.load(); };
}

bool Driver::finished() const {
  std::lock_guard lock(mutex_);
  return finished_locked();
}

bool Driver::finished_locked() const {
  return view_.state.mode == rollout::Mode::kDone || view_.state.mode == rollout::Mode::kAborted;
}

// Over, published, and every reader has come back where somebody waits to hear so.
bool Driver::settled_locked() const {
  const auto& state = view_.state;
  const bool published = !plan_->flag || state.flag_revision != flag::Revision{};
  const bool awaited = !state.rollbacks.empty() && state.rollbacks.back().flag_off.ms != 0 &&
                       state.rollbacks.back().everybody_back.ms == 0;
  return finished_locked() && published && !awaited;
}

RolloutView Driver::view() const {
  std::lock_guard lock(mutex_);
  RolloutView out = view_;
  out.progress = progress_;
  if (!connection_trouble_.empty()) out.report.waiting.push_back("a database: " + connection_trouble_);
  return out;
}

void Driver::wake() {
  {
    std::lock_guard lock(mutex_);
    wake_ = true;
  }
  changed_.notify_all();
}

Status Driver::request(rollout::Request request) {
  std::future<std::optional<Error>> answer;
  {
    std::lock_guard lock(mutex_);
    if (stop_) return fail(stopping());
    if (!view_.trouble.empty()) {
      return fail(make_error(Disposition::kConflict, "rollout.not_driven", view_.trouble)
                      .with_hint("another server drives this rollout, or the store is damaged; see its log"));
    }
    if (pending_.size() >= kPendingMax)
      return fail(make_error(Disposition::kRetry, "server.busy", "too many requests wait for this rollout"));
    auto pending = std::make_unique<Pending>();
    pending->request = std::move(request);
    answer = pending->answer.get_future();
    pending_.push_back(std::move(pending));
  }
  wake();
  if (answer.wait_for(kAnswerWithin) != std::future_status::ready) {
    return fail(make_error(Disposition::kInDoubt, "server.slow", "the request was not answered within 10 s")
                    .with_hint("`poundlock status` shows whether it took effect"));
  }
  if (auto error = answer.get()) return fail(std::move(*error));
  return {};
}

// --- the ticker ----------------------------------------------------------------------------------

void Driver::tick_loop() {
  while (!stop_) {
    {
      std::unique_lock lock(mutex_);
      const auto due = [this] { return wake_ || stop_.load(); };
      if (settled_locked() && last_error_.empty())
        changed_.wait(lock, due);  // only an order makes more of it
      else
        changed_.wait_for(lock, kTickEvery, due);
      wake_ = false;
    }
    if (stop_ || !tick_once()) return;
    if (on_change_) on_change_();
  }
}

bool Driver::tick_once() {
  engine::TickInput input;
  std::vector<std::unique_ptr<Pending>> pending;
  {
    std::lock_guard lock(mutex_);
    input.values = values_;
    input.outcomes = std::exchange(outcomes_, {});
    pending = std::exchange(pending_, {});
  }
  for (const auto& one : pending) input.requests.push_back(one->request);
  std::lock_guard controlling(controller_mutex_);
  if (plan_->flag) {
    if (auto window = metrics_.window(plan_->flag->key, controller_.state().mark,
                                      controller_.state().flag.exclusions ? excluded_ : kNobody)) {
      // Without any reader there is nothing to wait for and nothing to learn: gates then hold.
      const bool known = !window->instances.empty() || !window->contexts.empty() || window->newest.ms != 0;
      if (known) input.app = std::move(*window);
    }
  }
  input.steady = clock_.steady();
  auto output = controller_.tick(input, clock_.now());
  std::unique_lock lock(mutex_);
  const bool was_over = finished_locked();
  view_.state = controller_.state();
  if (was_over != finished_locked()) changed_.notify_all();
  view_.report = controller_.report();
  view_.instances = input.app ? input.app->instances : std::vector<rollout::InstanceInfo>{};
  moment_ = controller_.moment();
  mark_ = controller_.state().mark;
  // Whoever gave an order looks at the view next: it must show the order's effect by then.
  for (std::size_t i = 0; i < pending.size(); ++i) {
    std::optional<Error> answer;
    if (!output) {
      answer = output.error();
    } else if (i < output->answers.size()) {
      answer = output->answers[i];
    }
    pending[i]->answer.set_value(std::move(answer));
  }
  if (!output) {
    const Error error = output.error();
    // Ten times a second the same line would bury every other one.
    if (error.to_string() != last_error_) spdlog::error("rollout {}: {}", name_, error.to_string());
    last_error_ = error.to_string();
    view_.report.waiting.push_back("this server's own store or flags: " + last_error_);
    if (error.disposition == Disposition::kConflict) {
      view_.trouble = error.to_string();  // somebody else drives it: stop, and touch nothing more
      lock.unlock();
      cancel_running();
      return false;
    }
    // Not committed, so nothing of it may happen. The outcomes are not lost: steps are probed again.
    return true;
  }
  last_error_.clear();
  lock.unlock();
  hand_out(output->commands);
  return true;
}

void Driver::hand_out(const std::vector<rollout::Command>& commands) {
  const rollout::Command* wanted = commands.empty() ? nullptr : &commands.front();
  bool cancel = false;
  {
    std::lock_guard lock(mutex_);
    // A step ended while this tick decided without knowing: what it wants may have happened already.
    if (!outcomes_.empty()) {
      wake_ = true;
      return;
    }
    if (running_.empty()) {
      if (wanted && (!command_ || label(*command_) != label(*wanted))) {
        command_ = *wanted;
        changed_.notify_all();
      } else if (!wanted) {
        command_.reset();
      }
    } else {
      // What is under way is no longer wanted (a pause, a kill): stop it and learn how it ended.
      cancel = !wanted || label(*wanted) != running_;
    }
  }
  if (cancel) cancel_running();
}

void Driver::cancel_running() {
  cancel_ = true;
  engine::Executor* executor = nullptr;
  {
    std::lock_guard lock(mutex_);
    executor = executor_.get();
  }
  if (executor != nullptr) executor->cancel();
}

// --- databases -----------------------------------------------------------------------------------

// A variable that is not set or a password that cannot be read must not cost the kill: the ticker decides and
// publishes meanwhile.
bool Driver::connect() {
  while (!stop_) {
    auto made = connect_(stopped());
    std::unique_lock lock(mutex_);
    if (made) {
      connections_ = std::move(*made);
      executor_ = std::make_unique<engine::Executor>(executor_ports(), *plan_);
      connection_trouble_.clear();
      connected_ = true;
      changed_.notify_all();
      return true;
    }
    const std::string trouble = made.error().to_string();
    if (trouble != connection_trouble_) spdlog::error("rollout {} has no database: {}", name_, trouble);
    connection_trouble_ = trouble;
    changed_.wait_for(lock, kConnectEvery, [this] { return stop_.load(); });
  }
  return false;
}

bool Driver::observing() const {
  std::lock_guard lock(mutex_);
  return !stop_ && !finished_locked();
}

bool Driver::wait_until_observing() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return (connected_ && !finished_locked()) || stop_.load(); });
  return !stop_;
}

// --- the executor --------------------------------------------------------------------------------

engine::ExecutorPorts Driver::executor_ports() {
  engine::ExecutorPorts ports;
  ports.databases = connections_.view();
  ports.shadow = connections_.shadow.get();
  ports.traffic = connections_.traffic.get();
  ports.sampler = connections_.sampler.get();
  ports.load_catalog = connections_.load_catalog;
  ports.load_whole_catalog = connections_.load_whole_catalog;
  ports.primary_roles = connections_.primary_roles;
  ports.staging_roles = connections_.staging_roles;
  ports.clock = &clock_;
  ports.seed = static_cast<std::uint64_t>(clock_.now().ms);
  ports.stopped = stopped();
  ports.progress = [this](const engine::Progress& progress) {
    std::lock_guard lock(mutex_);
    progress_ = progress;
  };
  return ports;
}

void Driver::execute_loop() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !finished_locked() || stop_.load(); });
  }
  if (!connect()) return;
  while (!stop_) {
    rollout::Command command;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return command_.has_value() || stop_.load(); });
      if (stop_) return;
      command = std::move(*command_);
      command_.reset();
      running_ = label(command);
      progress_.reset();
      cancel_ = false;
    }
    spdlog::info("rollout {}: {}", name_, label(command));
    rollout::StepOutcome outcome = executor_->carry_out(command);
    if (outcome.error) spdlog::warn("rollout {}: {}: {}", name_, outcome.step, outcome.error->to_string());
    {
      std::lock_guard lock(mutex_);
      outcomes_.push_back(std::move(outcome));
      running_.clear();
      progress_.reset();
    }
    wake();
  }
}

// --- the collector -------------------------------------------------------------------------------

// Both loops end their sessions once the rollout is over: a server that has driven many must not go on
// asking production about each of them.

void Driver::collect_loop() {
  while (wait_until_observing()) {
    engine::Collector collector(connections_.view(), *plan_);
    while (observing()) {
      std::optional<rollout::Moment> moment;
      {
        std::lock_guard lock(mutex_);
        moment = moment_;
      }
      rollout::Observations seen;
      if (moment) collector.collect(seen, static_cast<rollout::Moments>(*moment), clock_.now());
      keep(std::move(seen));
      clock_.sleep(kCollectEvery);
    }
  }
}

void Driver::watch_locks_loop() {
  while (wait_until_observing()) {
    engine::LockWatch watch(*connections_.primary);
    std::uint64_t mark = 0;
    while (observing()) {
      {
        std::lock_guard lock(mutex_);
        if (mark_ != mark) watch.reset();
        mark = mark_;
      }
      rollout::Observations seen;
      watch.sample(seen, clock_.now());
      keep(std::move(seen));
      clock_.sleep(kLockWatchEvery);
    }
  }
}

void Driver::keep(rollout::Observations seen) {
  std::lock_guard lock(mutex_);
  for (auto& [name, observation] : seen.values) values_[name] = std::move(observation);
}

}  // namespace poundlock::server
