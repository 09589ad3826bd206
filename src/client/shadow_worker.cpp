#include "client/shadow_worker.h"

namespace poundlock::client {

ShadowWorker::~ShadowWorker() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ShadowWorker::post(std::string flag, std::string path, ShadowTask task) {
  bool full = false;
  {
    std::lock_guard lock(mutex_);
    full = stopping_ || queue_.size() >= kQueueMax;
    if (!full) {
      queue_.push_back({flag, path, std::move(task), Attempt::Clock::now() + limit_});
      if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    }
  }
  if (full) return recorder_.shadow(flag, path, Recorder::Shadow::kSkipped);
  wake_.notify_one();
}

void ShadowWorker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    auto verdict = ShadowVerdict::kFailed;
    if (Attempt::Clock::now() < job.deadline) {
      Attempt attempt(Side::kNew, job.deadline);
      verdict = job.task(attempt);
    }
    const bool counts = verdict != ShadowVerdict::kFailed && Attempt::Clock::now() < job.deadline;
    recorder_.shadow(job.flag, job.path,
                     !counts                                ? Recorder::Shadow::kSkipped
                     : verdict == ShadowVerdict::kDifferent ? Recorder::Shadow::kDifferent
                                                            : Recorder::Shadow::kEqual);
    job = {};  // what it captured is destroyed outside the lock
    lock.lock();
  }
}

}  // namespace poundlock::client
