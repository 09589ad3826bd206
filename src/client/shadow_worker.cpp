#include "client/shadow_worker.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace poundlock::client {

namespace {

struct Job {
  std::string flag;
  std::string path;
  ShadowTask task;
  Attempt::Clock::time_point deadline;
};

// A task is the application's code.
ShadowVerdict guarded(ShadowTask& task, Attempt& attempt) noexcept {
  try {
    return task(attempt);
  } catch (...) {
    return ShadowVerdict::kFailed;
  }
}

}  // namespace

struct ShadowWorker::Shared {
  Shared(std::shared_ptr<Recorder> to, std::chrono::milliseconds time)
      : recorder(std::move(to)), limit(time) {}

  const std::shared_ptr<Recorder> recorder;
  const std::chrono::milliseconds limit;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> queue;
  bool stopping = false;
  bool ended = false;  // the thread will touch nothing any more
};

ShadowWorker::ShadowWorker(std::shared_ptr<Recorder> recorder, std::chrono::milliseconds limit, Starter start)
    : shared_(std::make_shared<Shared>(std::move(recorder), limit)), start_(std::move(start)) {}

ShadowWorker::~ShadowWorker() {
  std::deque<Job> dropped;  // what they captured is destroyed outside the lock
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  dropped.swap(shared_->queue);
  shared_->wake.notify_all();
  if (!thread_.joinable()) return;
  const bool own = thread_.get_id() == std::this_thread::get_id();
  if (!own && shared_->wake.wait_for(lock, shared_->limit, [this] { return shared_->ended; })) {
    lock.unlock();
    thread_.join();
  } else {
    thread_.detach();
  }
}

void ShadowWorker::post(std::string flag, std::string path, ShadowTask task) noexcept {
  bool taken = false;
  try {
    std::lock_guard lock(shared_->mutex);
    if (!shared_->stopping && shared_->queue.size() < kQueueMax) {
      if (!thread_.joinable()) {
        std::function<void()> body = [shared = shared_] { run(*shared); };
        thread_ = start_ ? start_(std::move(body)) : std::thread(std::move(body));
      }
      shared_->queue.push_back({flag, path, std::move(task), Attempt::Clock::now() + shared_->limit});
      taken = true;
    }
  } catch (...) {  // no thread or no memory: the application's own read has been answered already
    taken = false;
  }
  if (!taken) return shared_->recorder->shadow(flag, path, Recorder::Shadow::kSkipped);
  shared_->wake.notify_all();
}

void ShadowWorker::run(Shared& shared) {
  std::unique_lock lock(shared.mutex);
  while (true) {
    shared.wake.wait(lock, [&] { return shared.stopping || !shared.queue.empty(); });
    if (shared.stopping) break;
    Job job = std::move(shared.queue.front());
    shared.queue.pop_front();
    lock.unlock();
    auto verdict = ShadowVerdict::kFailed;
    if (Attempt::Clock::now() < job.deadline) {
      Attempt attempt(Side::kNew, job.deadline);
      verdict = guarded(job.task, attempt);
    }
    const bool counts = verdict != ShadowVerdict::kFailed && Attempt::Clock::now() < job.deadline;
    shared.recorder->shadow(job.flag, job.path,
                            !counts                                ? Recorder::Shadow::kSkipped
                            : verdict == ShadowVerdict::kDifferent ? Recorder::Shadow::kDifferent
                                                                   : Recorder::Shadow::kEqual);
    job = {};  // what it captured is destroyed outside the lock
    lock.lock();
  }
  shared.ended = true;
  shared.wake.notify_all();
}

}  // namespace poundlock::client
