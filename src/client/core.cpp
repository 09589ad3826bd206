#include "client/core.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <thread>

#include "client/context_attributes.h"
#include "client/disk_cache.h"

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
      prune_threads_at_(kThreadsAtLeast) {}

ThreadState& Core::thread_state() {
  struct Mine {
    std::uint64_t client;
    std::shared_ptr<ThreadState> state;
  };
  // Without a constructor, so that reading it needs no guard: most threads use one client.
  static thread_local std::uint64_t last_client = 0;
  static thread_local ThreadState* last_state = nullptr;
  if (last_client == id_) return *last_state;
  static thread_local std::vector<Mine> mine;
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

Evaluated Core::evaluate(std::string_view key, const Context& context) {
  ThreadState& state = thread_state();
  const std::uint64_t version = version_.load(std::memory_order_acquire);
  const View* view = state.view(version);
  if (view == nullptr) {
    std::shared_ptr<const View> newest;
    std::uint64_t newest_version = 0;
    {
      std::lock_guard lock(mutex_);
      newest = view_;
      newest_version = version_.load(std::memory_order_relaxed);
    }
    view = newest.get();
    state.adopt(std::move(newest), newest_version, recorder_);
  }
  const Evaluated result = client::evaluate(*view, key, ContextAttributes(context), unix_seconds);
  if (const auto name = context_name(context)) {
    state.count(key, result, *name, recorder_);
  } else {
    state.count(key, result, context_label(context), recorder_);
  }
  return result;
}

void Core::publish(std::shared_ptr<const View> view) {
  view_ = std::move(view);
  version_.fetch_add(1, std::memory_order_release);
}

Offer Core::offer(std::string_view document, bool from_disk) {
  auto snapshot = flag::Snapshot::compile(document, from_disk ? options_.cache_file : "snapshot");
  std::lock_guard lock(mutex_);
  if (!snapshot) {
    ++refused_;
    last_error_ = "snapshot refused: " + snapshot.error().to_string();
    return Offer::kRefused;
  }
  const flag::Revision revision = (*snapshot)->revision();
  if (view_->snapshot != nullptr) {
    const flag::Revision in_use = view_->snapshot->revision();
    if (revision < in_use) {
      ++refused_;
      last_error_ = fmt::format("snapshot refused: {}.{} is older than {}.{}, which is in use",
                                revision.epoch, revision.number, in_use.epoch, in_use.number);
      return Offer::kRefused;
    }
    // The server has confirmed what the disk had: nothing else changes.
    if (revision == in_use && !view_->from_disk) return Offer::kSame;
  }
  publish(next_view(*view_, std::move(*snapshot), from_disk, overrides_));
  if (!options_.cache_file.empty()) document_ = document;
  return Offer::kApplied;
}

void Core::set_overrides(const Overrides& overrides) {
  std::lock_guard lock(mutex_);
  overrides_ = overrides;
  publish(next_view(*view_, view_->snapshot, view_->from_disk, overrides_));
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
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!ready()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
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
