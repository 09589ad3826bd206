#include "cli/stoppable_shadow.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace poundlock::cli {
namespace {

// Its statement ends by the third cancel: those before came while the server had nothing to end.
class DeafSession final : public ports::Session {
 public:
  DeafSession(std::atomic<int>& cancels, std::atomic<bool>& begun) : cancels_(cancels), begun_(begun) {}
  Result<ports::Rows> run(const ports::Sql&) override {
    begun_ = true;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (cancels_ < 3 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    return ports::Rows{};
  }
  Result<std::vector<ports::Rows>> pipeline(std::span<const ports::Sql>) override { return {}; }
  std::vector<std::string> take_notices() override { return {}; }
  int backend_pid() const override { return 1; }
  void cancel() override { ++cancels_; }
  bool broken() const override { return false; }

 private:
  std::atomic<int>& cancels_;
  std::atomic<bool>& begun_;
};

class OneSession final : public ports::Shadow {
 public:
  OneSession(std::atomic<int>& cancels, std::atomic<bool>& begun, bool kept)
      : cancels_(cancels), begun_(begun), kept_(kept) {}
  Result<ports::ShadowInfo> create(const std::vector<schema::QualifiedName>&) override {
    ports::ShadowInfo info;
    info.kept = kept_;
    return info;
  }
  Result<std::unique_ptr<ports::Session>> connect() override {
    return std::make_unique<DeafSession>(cancels_, begun_);
  }
  Status drop() override { return {}; }

 private:
  std::atomic<int>& cancels_;
  std::atomic<bool>& begun_;
  bool kept_;
};

TEST(StoppableShadow, CancelsUntilTheStatementEndsAndNothingAfterIt) {
  for (const bool kept : {false, true}) {
    std::atomic<int> cancels{0};
    std::atomic<bool> begun{false};  // and stopped at once
    auto shadow =
        make_stoppable(std::make_unique<OneSession>(cancels, begun, kept), [&] { return begun.load(); });
    auto session = std::move(*shadow->connect());
    ASSERT_TRUE(session->run("SELECT 1"));
    EXPECT_GE(cancels, 3);
    const int then = cancels;
    ASSERT_TRUE(shadow->create({}));
    EXPECT_EQ(session->run("SELECT 2").has_value(), kept);
    EXPECT_EQ(cancels, then);
  }
}

}  // namespace
}  // namespace poundlock::cli
