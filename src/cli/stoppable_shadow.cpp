#include "cli/stoppable_shadow.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

namespace poundlock::cli {
namespace {

constexpr std::chrono::milliseconds kPoll{50};
constexpr int kCancels = 600;  // one each kPoll

// Which sessions have a statement running.
class Running {
 public:
  explicit Running(std::function<bool()> stopped)
      : stopped_(std::move(stopped)), thread_([this] { watch(); }) {}
  ~Running() {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  // False: it must not begin.
  bool begin(ports::Session& session) {
    std::lock_guard lock(mutex_);
    if (refuse && stopped_()) return false;
    sessions_.insert(&session);
    return true;
  }
  void end(ports::Session& session) {
    std::lock_guard lock(mutex_);
    sessions_.erase(&session);
    if (cancelled_.erase(&session) > 0) wake_.notify_all();
  }

  std::atomic<bool> refuse{false};

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kPoll, [&] { return ended_ || stopped_(); })) {
    }
    // What begins from here on takes something back. A cancel that reaches the server before the statement
    // does is lost, so it is repeated; under the lock, so that it never ends the session's next one.
    cancelled_ = sessions_;
    for (int tries = 0; tries < kCancels && !ended_ && !cancelled_.empty(); ++tries) {
      for (auto* session : cancelled_) session->cancel();
      wake_.wait_for(lock, kPoll, [&] { return ended_ || cancelled_.empty(); });
    }
  }

  std::function<bool()> stopped_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::set<ports::Session*> sessions_;
  std::set<ports::Session*> cancelled_;  // those of them that ran when it was stopped, and still do
  bool ended_ = false;
  std::thread thread_;  // last: it uses all of them
};

class StoppableSession final : public ports::Session {
 public:
  StoppableSession(std::unique_ptr<ports::Session> inner, std::shared_ptr<Running> running)
      : inner_(std::move(inner)), running_(std::move(running)) {}

  Result<ports::Rows> run(const ports::Sql& sql) override {
    if (!running_->begin(*inner_)) return fail(stopped_error());
    auto rows = inner_->run(sql);
    running_->end(*inner_);
    return rows;
  }
  Result<std::vector<ports::Rows>> pipeline(std::span<const ports::Sql> statements) override {
    if (!running_->begin(*inner_)) return fail(stopped_error());
    auto rows = inner_->pipeline(statements);
    running_->end(*inner_);
    return rows;
  }
  std::vector<std::string> take_notices() override { return inner_->take_notices(); }
  int backend_pid() const override { return inner_->backend_pid(); }
  void cancel() override { inner_->cancel(); }
  bool broken() const override { return inner_->broken(); }

 private:
  std::unique_ptr<ports::Session> inner_;
  std::shared_ptr<Running> running_;
};

class StoppableShadow final : public ports::Shadow {
 public:
  StoppableShadow(std::unique_ptr<ports::Shadow> inner, std::function<bool()> stopped)
      : inner_(std::move(inner)), running_(std::make_shared<Running>(std::move(stopped))) {}

  Result<ports::ShadowInfo> create(const std::vector<schema::QualifiedName>& tables) override {
    auto info = inner_->create(tables);
    running_->refuse = info && !info->kept;
    return info;
  }
  Result<std::unique_ptr<ports::Session>> connect() override {
    PL_TRY(auto session, inner_->connect());
    return std::make_unique<StoppableSession>(std::move(session), running_);
  }
  Status drop() override { return inner_->drop(); }
  Result<ports::StatisticsCopied> copy_statistics(ports::Session& session) override {
    return inner_->copy_statistics(session);
  }

 private:
  std::unique_ptr<ports::Shadow> inner_;
  std::shared_ptr<Running> running_;
};

}  // namespace

Error stopped_error(bool stays, bool in_place) {
  std::string words = "stopped; the shadow is taken away, or what was done in it";
  if (stays) words = "stopped; what was done so far stays in the shadow";
  if (stays && !in_place) words += ", which could not be copied";
  return make_error(Disposition::kRetry, "check.stopped", std::move(words));
}

std::unique_ptr<ports::Shadow> make_stoppable(std::unique_ptr<ports::Shadow> shadow,
                                              std::function<bool()> stopped) {
  return std::make_unique<StoppableShadow>(std::move(shadow), std::move(stopped));
}

}  // namespace poundlock::cli
