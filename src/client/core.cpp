#include "client/core.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <new>
#include <optional>
#include <utility>

#include "client/context_attributes.h"
#include "client/disk_cache.h"

extern "C" void* __dso_handle;  // this program or library: it stays loaded until its threads' lists are gone

namespace poundlock::client {

namespace {

constexpr std::size_t kBreakerSourcesMax = 1'000;
constexpr std::size_t kThreadsAtLeast = 64;  // below it nobody looks for threads that have ended

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

// Targeting by time needs seconds: the coarse clock is read from memory without a system call.
std::int64_t unix_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now.tv_sec;
}

}  // namespace

Core::Core(ClientOptions options)
    : options_(std::move(options)),
      id_(next_id()),
      view_(std::make_shared<const View>()),
      prune_threads_at_(kThreadsAtLeast) {
  set_context(options_.context);
}

Core::~Core() {
  events_->close();
}

namespace {

struct Mine {
  std::uint64_t client;
  std::shared_ptr<ThreadState> state;
};

// Without constructors, so that reading them needs no guard: most threads use one client.
thread_local std::uint64_t last_client = 0;
thread_local ThreadState* last_state = nullptr;
thread_local std::vector<Mine>* states_of_thread = nullptr;

void forget_thread(void* states) {
  last_client = 0;
  states_of_thread = nullptr;
  delete static_cast<std::vector<Mine>*>(states);
}

// Not a thread_local object: one that an application made before its first evaluation is destroyed later,
// and may still evaluate. It gets a new list then, which is destroyed in its turn.
std::vector<Mine>& states() {
  if (states_of_thread == nullptr) {
    auto made = std::make_unique<std::vector<Mine>>();
    if (abi::__cxa_thread_atexit(forget_thread, made.get(), &__dso_handle) != 0) throw std::bad_alloc();
    states_of_thread = made.release();
  }
  return *states_of_thread;
}

}  // namespace

ThreadState& Core::thread_state() {
  if (last_client == id_) return *last_state;
  std::vector<Mine>& mine = states();
  for (const Mine& entry : mine) {
    if (entry.client != id_) continue;
    last_client = id_;
    last_state = entry.state.get();
    return *entry.state;
  }
  last_client = 0;
  // States that only this thread still holds belong to clients that are gone.
  std::erase_if(mine, [](const Mine& entry) { return entry.state.use_count() == 1; });
  auto state = std::make_shared<ThreadState>();
  {
    std::lock_guard lock(mutex_);
    // Where nobody reports, nobody else would: a thread a request would cost its state for ever.
    if (threads_.size() >= prune_threads_at_) prune_threads();
    threads_.push_back(state);
  }
  mine.push_back({id_, state});
  last_client = id_;
  last_state = state.get();
  return *state;
}

const View& Core::view(ThreadState& state) {
  const std::uint64_t version = version_.load(std::memory_order_acquire);
  if (const View* view = state.view(version)) return *view;
  std::shared_ptr<const View> newest;
  std::uint64_t newest_version = 0;
  {
    std::lock_guard lock(mutex_);
    newest = view_;
    newest_version = version_.load(std::memory_order_relaxed);
  }
  const View& view = *newest;
  state.adopt(std::move(newest), newest_version, recorder_);
  return view;
}

const View& Core::view() {
  return view(thread_state());
}

Evaluated Core::evaluate(std::string_view key, const Context& context) {
  ThreadState& state = thread_state();
  const View& view = this->view(state);
  const Context* base = view.base.get();
  const Evaluated result = client::evaluate(view, key, ContextAttributes(context, base), unix_seconds);
  if (const auto name = context_name(context, base)) {
    state.count(key, result, *name, recorder_);
  } else {
    state.count(key, result, context_label(context, base), recorder_);
  }
  return result;
}

Context Core::whole(const Context& context) {
  const Context* base = view().base.get();
  return base == nullptr ? context : merged(context, *base);
}

std::string Core::label(const Context& context) {
  return context_label(context, view().base.get());
}

Core::Published Core::publish(std::shared_ptr<const View> view) {
  Published published{view_, view, version_.load(std::memory_order_relaxed) + 1};
  if (!view->unheeded.empty() && view->unheeded != view_->unheeded)
    last_error_ = "overrides that stand for no side of their rollout are not heeded: " + view->unheeded;
  view_ = std::move(view);
  version_.store(published.version, std::memory_order_release);
  became_ready_.notify_all();
  return published;
}

template <typename Change>
void Core::publish_with(Change change) {
  Published published;  // what nobody uses any more is destroyed outside the lock
  std::lock_guard lock(mutex_);
  auto next = std::make_shared<View>(*view_);
  change(*next);
  published = publish(std::move(next));
}

void Core::set_context(Context context) {
  std::shared_ptr<const Context> base;
  if (!context.targeting_key.empty() || !context.attributes.empty()) {
    base = std::make_shared<const Context>(std::move(context));
  }
  publish_with([&](View& view) { view.base = std::move(base); });
}

bool Core::add_hook(Hook hook) {
  bool added = false;
  // Moved and shared, never copied: what it captures is the application's code, which may ask for a lock of
  // ours or throw. One that is refused is destroyed after the lock.
  const auto kept = std::make_shared<const Hook>(std::move(hook));
  publish_with([&](View& view) {
    auto hooks = view.hooks == nullptr ? std::make_shared<Hooks>() : std::make_shared<Hooks>(*view.hooks);
    added = hooks->size() < kHooksMax;
    if (added) hooks->push_back(kept);
    view.hooks = std::move(hooks);
  });
  has_hooks_.store(true);
  return added;
}

void Core::announce(const Published& published) {
  if (!events_->wanted()) return;  // to compare ten thousand flags takes its time
  const auto& [before, after, version] = published;
  if (before->snapshot == nullptr && after->snapshot != nullptr) {
    events_->post({EventType::kReady, {}, {}}, version);
  }
  std::vector<std::string> keys = changed_keys(*before, *after);
  if (!keys.empty()) events_->post({EventType::kConfigurationChanged, std::move(keys), {}}, version);
}

Offer Core::refuse(std::string why) {
  why = "snapshot refused: " + why;
  {
    std::lock_guard lock(mutex_);
    ++refused_;
    last_error_ = why;
  }
  events_->post({EventType::kError, {}, std::move(why)});
  return Offer::kRefused;
}

Offer Core::offer(std::string_view document, bool from_disk) {
  auto snapshot = flag::Snapshot::compile(document, from_disk ? options_.cache_file : "snapshot");
  if (!snapshot) return refuse(snapshot.error().to_string());
  const flag::Revision revision = (*snapshot)->revision();
  Published published;
  flag::Revision in_use;
  {
    std::lock_guard lock(mutex_);
    const bool has_one = view_->snapshot != nullptr;
    if (has_one) in_use = view_->snapshot->revision();
    // The server has confirmed what the disk had: nothing else changes.
    if (has_one && revision == in_use && !view_->from_disk) return Offer::kSame;
    if (!has_one || revision >= in_use) {
      published = publish(next_view(*view_, std::move(*snapshot), from_disk, overrides_));
      if (!options_.cache_file.empty()) document_ = document;
    }
  }
  if (published.after == nullptr) {
    return refuse(fmt::format("{}.{} is older than {}.{}, which is in use", revision.epoch, revision.number,
                              in_use.epoch, in_use.number));
  }
  announce(published);
  return Offer::kApplied;
}

void Core::set_overrides(const Overrides& overrides) {
  Published published;
  {
    std::lock_guard lock(mutex_);
    overrides_ = overrides;
    published = publish(next_view(*view_, view_->snapshot, view_->from_disk, overrides_));
  }
  announce(published);
}

std::uint64_t Core::subscribe(EventQueue::Handler handler) {
  // One that is refused, or gone at once, is destroyed after the lock: what it captures may ask for it.
  const auto kept = std::make_shared<const EventQueue::Handler>(std::move(handler));
  // Under the lock: what becomes true from now on is posted after the handler is there.
  std::lock_guard lock(mutex_);
  std::optional<Event> first;
  if (frozen_.load()) {
    first = Event{EventType::kStale, {}, "the server is silent"};
  } else if (view_->snapshot != nullptr) {
    first = Event{EventType::kReady, {}, {}};
  }
  return events_->subscribe(kept, std::move(first), version_.load());
}

void Core::load_cache() {
  if (options_.cache_file.empty()) return;
  auto cached = read_cache(options_.cache_file, flag::Limits{}.bytes_max);
  if (!cached) return note_trouble(cached.error().to_string());
  if (*cached) offer((*cached)->document, true);
}

void Core::save_cache() const {
  if (options_.cache_file.empty()) return;
  std::string document;
  flag::Revision revision;
  {
    std::lock_guard lock(mutex_);
    if (view_->snapshot == nullptr) return;
    document = document_;
    revision = view_->snapshot->revision();
  }
  if (auto status = write_cache(options_.cache_file, document, revision); !status) {
    note_trouble(status.error().to_string());
  }
}

flag::Revision Core::applied() const {
  std::lock_guard lock(mutex_);
  return view_->snapshot == nullptr ? flag::Revision{} : view_->snapshot->revision();
}

bool Core::ready() const {
  std::lock_guard lock(mutex_);
  return view_->snapshot != nullptr;
}

bool Core::wait_until_ready(std::chrono::milliseconds limit) {
  if (options_.server.empty()) return ready();  // nothing will come
  std::unique_lock lock(mutex_);
  return became_ready_.wait_for(lock, limit, [this] { return view_->snapshot != nullptr; });
}

void Core::prune_threads() {
  // The thread has ended and its counts are in: nobody will add to them.
  std::erase_if(threads_, [this](const auto& state) {
    if (state.use_count() > 1) return false;
    state->collect(recorder_);
    return true;
  });
  prune_threads_at_ = std::max(kThreadsAtLeast, 2 * threads_.size());
}

std::size_t Core::threads_held() const {
  std::lock_guard lock(mutex_);
  return threads_.size();
}

void Core::add_breakers(std::weak_ptr<const void> owner, BreakerSource source) {
  std::lock_guard lock(mutex_);
  if (breakers_.size() >= kBreakerSourcesMax) {
    std::erase_if(breakers_, [](const Breakers& one) { return one.owner.expired(); });
  }
  if (breakers_.size() < kBreakerSourcesMax) breakers_.push_back({std::move(owner), std::move(source)});
}

flag::Report Core::report() {
  flag::Report report;
  std::vector<std::shared_ptr<ThreadState>> threads;
  std::vector<Breakers> sources;
  {
    std::lock_guard lock(mutex_);
    threads = threads_;
    sources.swap(breakers_);
    if (view_->snapshot != nullptr) report.applied = view_->snapshot->revision();
  }
  for (const auto& state : threads) state->collect(recorder_);
  threads.clear();
  std::erase_if(sources, [&](const Breakers& one) { return !one.source(report.breakers); });
  {
    std::lock_guard lock(mutex_);
    breakers_.insert(breakers_.end(), sources.begin(), sources.end());
    prune_threads();
  }
  recorder_.collect(report);
  report.service = options_.service;
  report.instance = options_.instance;
  report.build = options_.build;
  report.legacy_path = options_.legacy_path;
  report.sequence = ++sequence_;
  report.frozen = frozen_.load();
  return report;
}

void Core::set_connected(bool connected) {
  std::lock_guard lock(mutex_);
  connected_ = connected;
  if (connected) outage_told_ = false;
}

void Core::lost(std::string why) {
  {
    std::lock_guard lock(mutex_);
    connected_ = false;
    last_error_ = why;
    if (std::exchange(outage_told_, true)) return;
  }
  events_->post({EventType::kError, {}, std::move(why)});
}

void Core::set_frozen(bool frozen) {
  if (frozen_.exchange(frozen) == frozen) return;
  if (frozen) {
    events_->post({EventType::kStale, {}, "the server is silent: the snapshot is kept as it is"});
  } else if (ready()) {
    events_->post({EventType::kReady, {}, {}});
  }
}

void Core::note_trouble(std::string text) const {
  std::lock_guard lock(mutex_);
  last_error_ = std::move(text);
}

ClientStatus Core::status() const {
  std::lock_guard lock(mutex_);
  ClientStatus status;
  status.connected = connected_;
  status.frozen = frozen_.load();
  status.from_disk = view_->from_disk;
  if (view_->snapshot != nullptr) {
    status.epoch = view_->snapshot->revision().epoch;
    status.revision = view_->snapshot->revision().number;
  }
  status.refused = refused_;
  status.last_error = last_error_;
  return status;
}

}  // namespace poundlock::client
