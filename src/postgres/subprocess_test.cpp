// Programs that do not end by themselves.
#include "postgres/subprocess.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

namespace poundlock::postgres {
namespace {

class RealClock final : public Clock {
 public:
  TimePoint now() const override { return steady(); }
  TimePoint steady() const override {
    return {std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch()).count()};
  }
  void sleep(Millis) override { std::this_thread::yield(); }
};

TEST(RunPipe, EndsItsProgramsWhenItIsStopped) {
  RealClock clock;
  const TimePoint begin = clock.steady();
  bool asked = false;
  const auto stopped = [&] { return std::exchange(asked, true); };
  const auto done = run_pipe({{"sleep", "60"}, {}}, {{"cat"}, {}}, clock, Millis{60'000}, stopped);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "pg.program_stopped");
  EXPECT_LT(clock.steady() - begin, Millis{30'000});
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no program is left behind";
  EXPECT_EQ(errno, ECHILD);
}

// A server keeps its signals for one thread. A program that inherited that could not be ended by anybody.
TEST(RunPipe, ProgramsHearTheSignalsThatTheServerBlocks) {
  RealClock clock;
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  const auto pipe_before = signal(SIGPIPE, SIG_IGN);
  for (const char* name : {"TERM", "PIPE"}) {
    const std::string script = std::string("kill -") + name + " $$";
    const auto done = run_pipe({{"sh", "-c", script}, {}}, {{"cat"}, {}}, clock, Millis{60'000});
    ASSERT_FALSE(done) << name;
    EXPECT_EQ(done.error().code, "pg.program_failed");
  }
  signal(SIGPIPE, pipe_before);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
}  // namespace poundlock::postgres
