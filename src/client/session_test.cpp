// The client against a server of a few lines: what it says, in which order, and how it takes silence,
// refusal and the server's end.
#include "client/session.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <latch>
#include <mutex>
#include <thread>

#include "base/json.h"
#include "client/backoff.h"
#include "flag/rollout_flag.h"
#include "poundlock/client.h"

namespace poundlock::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Call {
  std::string line;  // "POST /v1/telemetry"
  std::string body;
};

// HTTP/1.1 on loopback, a thread a connection, one request each; the stream stays open until dropped.
class TinyServer {
 public:
  TinyServer() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    ::listen(listener_, 16);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TinyServer() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    drop_stream();
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // The first call since the last wait that begins with `line`; those before it are dropped.
  Call wait_for(const std::string& line) {
    std::unique_lock lock(mutex_);
    Call found;
    const bool came = changed_.wait_for(lock, seconds(20), [&] {
      while (!calls_.empty()) {
        found = calls_.front();
        calls_.pop_front();
        if (found.line.starts_with(line)) return true;
      }
      return false;
    });
    EXPECT_TRUE(came) << "no " << line;
    return came ? found : Call{};
  }
  void send(const std::string& event) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, seconds(20), [&] { return stream_ >= 0; }));
    EXPECT_EQ(::send(stream_, event.data(), event.size(), MSG_NOSIGNAL), static_cast<ssize_t>(event.size()));
  }
  // As much of it as the client takes.
  void flood(const std::string& bytes) {
    int stream = -1;
    {
      std::unique_lock lock(mutex_);
      EXPECT_TRUE(changed_.wait_for(lock, seconds(20), [&] { return stream_ >= 0; }));
      stream = stream_;
    }
    std::string_view left = bytes;
    while (!left.empty()) {
      const ssize_t sent = ::send(stream, left.data(), left.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      left.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void drop_stream() {
    std::lock_guard lock(mutex_);
    if (stream_ >= 0) ::shutdown(stream_, SHUT_RDWR);
    stream_ = -1;
  }
  void answer_telemetry(int status) {
    std::lock_guard lock(mutex_);
    telemetry_status_ = status;
  }

 private:
  void accept_all() {
    while (true) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      std::lock_guard lock(mutex_);
      if (connection < 0 || stopping_) {
        if (connection >= 0) ::close(connection);
        return;
      }
      threads_.emplace_back([this, connection] { serve(connection); });
    }
  }
  static std::size_t length_of(const std::string& head) {
    const std::size_t at = head.find("Content-Length: ");
    return at == std::string::npos ? 0 : static_cast<std::size_t>(std::atoi(head.c_str() + at + 16));
  }
  void serve(int connection) {
    std::string text;
    char buffer[4096];
    std::size_t head_end = std::string::npos;
    while (true) {
      const ssize_t got = ::recv(connection, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      text.append(buffer, static_cast<std::size_t>(got));
      head_end = text.find("\r\n\r\n");
      if (head_end == std::string::npos) continue;
      if (text.size() >= head_end + 4 + length_of(text.substr(0, head_end))) break;
    }
    if (head_end == std::string::npos) {
      ::close(connection);
      return;
    }
    const std::size_t line_end = text.find(" HTTP/1.1");
    const Call call{text.substr(0, line_end), text.substr(head_end + 4)};
    const bool streams = call.line.starts_with("GET /v1/flags/stream");
    int status = 200;
    {
      std::lock_guard lock(mutex_);
      if (call.line == "POST /v1/telemetry") status = telemetry_status_;
    }
    std::string reply = "HTTP/1.1 " + std::to_string(status) + " X\r\n";
    reply += streams ? "Content-Type: text/event-stream\r\n\r\n"
                     : "Content-Length: 0\r\nConnection: close\r\n\r\n";
    ::send(connection, reply.data(), reply.size(), MSG_NOSIGNAL);
    {
      std::lock_guard lock(mutex_);
      calls_.push_back(call);
      if (streams && !stopping_) stream_ = connection;
    }
    changed_.notify_all();
    if (streams) {
      while (::recv(connection, buffer, sizeof buffer, 0) > 0) {
      }
      std::lock_guard lock(mutex_);
      if (stream_ == connection) stream_ = -1;
    }
    ::close(connection);
  }

  int listener_ = -1;
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Call> calls_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
  int stream_ = -1;
  int telemetry_status_ = 200;
  bool stopping_ = false;
};

std::string snapshot_event(std::uint64_t revision, flag::Stage stage) {
  flag::RolloutFlag rollout;
  rollout.key = "k";
  rollout.reached = stage;
  rollout.percentage = 100;
  const auto flags = flag::compile_rollout_flag(rollout);
  return "event: snapshot\nid: 1." + std::to_string(revision) +
         "\ndata: " + *flag::snapshot_document(std::vector{*flags}, {1, revision}) + "\n\n";
}

template <typename Condition>
bool eventually(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

class SessionTest : public ::testing::Test {
 protected:
  ClientOptions options() {
    ClientOptions options;
    options.server = server_.url();
    options.service = "orders";
    options.instance = "i 1";
    options.build = "v1";
    options.report_interval = milliseconds(20);
    return options;
  }
  static std::string stage(const Client& client) {
    return client.string_value("k.stage", "none", Context{"user-1", {}});
  }
  TinyServer server_;
};

TEST_F(SessionTest, RegistersFollowsAcknowledgesReportsAndLeaves) {
  auto client = Client::create(options());
  EXPECT_EQ(stage(client), "none");
  EXPECT_EQ(server_.wait_for("POST /v1/instances").body,
            R"({"service":"orders","instance":"i 1","build":"v1","legacy_path":true})");
  EXPECT_EQ(server_.wait_for("GET /v1/flags/stream").line,
            "GET /v1/flags/stream?instance=i%201&service=orders&build=v1");
  server_.send(snapshot_event(3, flag::Stage::kLive));
  const auto acknowledged = server_.wait_for("POST /v1/instances/i%201/ack");
  EXPECT_EQ(acknowledged.line, "POST /v1/instances/i%201/ack?service=orders");
  EXPECT_EQ(acknowledged.body, R"({"epoch":1,"revision":3})");
  EXPECT_EQ(stage(client), "live") << "acknowledged means applied";
  EXPECT_TRUE(client.status().connected);
  auto report = flag::report_from_json(server_.wait_for("POST /v1/telemetry").body);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->instance, "i 1");
  server_.send(snapshot_event(4, flag::Stage::kOff));
  EXPECT_EQ(server_.wait_for("POST /v1/instances/i%201/ack").body, R"({"epoch":1,"revision":4})");
  EXPECT_EQ(stage(client), "off");
  client.close();
  server_.wait_for("DELETE /v1/instances/i%201?service=orders");
  EXPECT_EQ(stage(client), "off") << "evaluations go on";
}

TEST_F(SessionTest, ABadOrOlderSnapshotIsNeitherAppliedNorAcknowledged) {
  auto client = Client::create(options());
  server_.send(snapshot_event(3, flag::Stage::kLive));
  server_.wait_for("POST /v1/instances/i%201/ack");
  server_.send("event: snapshot\nid: 1.4\ndata: {\"flags\": []}\n\n");
  server_.send(snapshot_event(2, flag::Stage::kOff));
  ASSERT_TRUE(eventually([&] { return client.status().refused == 2; }));
  EXPECT_EQ(stage(client), "live");
  server_.send(snapshot_event(5, flag::Stage::kOff));
  EXPECT_EQ(server_.wait_for("POST /v1/instances/i%201/ack").body, R"({"epoch":1,"revision":5})");
}

TEST_F(SessionTest, ASnapshotThatNeverEndsIsRefusedAndTheLastGoodOneStays) {
  auto client = Client::create(options());
  server_.send(snapshot_event(3, flag::Stage::kLive));
  server_.wait_for("POST /v1/instances/i%201/ack");
  server_.flood("event: snapshot\nid: 1.4\ndata: " + std::string(flag::Limits{}.bytes_max + (1 << 20), ' '));
  ASSERT_TRUE(eventually([&] { return client.status().refused == 1; }));
  EXPECT_EQ(stage(client), "live");
  server_.wait_for("GET /v1/flags/stream");  // it comes back
  server_.send(snapshot_event(4, flag::Stage::kOff));
  EXPECT_EQ(server_.wait_for("POST /v1/instances/i%201/ack").body, R"({"epoch":1,"revision":4})");
}

TEST_F(SessionTest, ComesBackRegistersAgainAndAcknowledgesWhatItHas) {
  auto client = Client::create(options());
  server_.send(snapshot_event(3, flag::Stage::kLive));
  server_.wait_for("POST /v1/instances/i%201/ack");
  server_.drop_stream();
  server_.wait_for("POST /v1/instances");
  server_.wait_for("GET /v1/flags/stream");
  EXPECT_EQ(stage(client), "live");
  server_.send(snapshot_event(3, flag::Stage::kLive));
  EXPECT_EQ(server_.wait_for("POST /v1/instances/i%201/ack").body, R"({"epoch":1,"revision":3})");
}

TEST_F(SessionTest, ASilentStreamFreezesAndAnyEventThaws) {
  ClientOptions with = options();
  with.silence_max = milliseconds(100);
  auto client = Client::create(with);
  server_.send(snapshot_event(3, flag::Stage::kLive));
  server_.wait_for("POST /v1/instances/i%201/ack");
  ASSERT_TRUE(eventually([&] { return client.status().frozen; }));
  EXPECT_EQ(stage(client), "live") << "frozen keeps what it has";
  ASSERT_TRUE(eventually([&] {
    const auto report = flag::report_from_json(server_.wait_for("POST /v1/telemetry").body);
    return report && report->frozen;
  }));
  server_.wait_for("GET /v1/flags/stream");  // it gave the silent stream up
  ASSERT_TRUE(eventually([&] {
    server_.send("event: heartbeat\ndata: {}\n\n");
    return !client.status().frozen;
  }));
}

TEST_F(SessionTest, FiguresThatTheServerRefusedComeWithTheNextReport) {
  server_.answer_telemetry(503);
  auto client = Client::create(options());
  server_.send(snapshot_event(3, flag::Stage::kLive));
  server_.wait_for("POST /v1/instances/i%201/ack");
  for (int i = 0; i < 5; ++i) stage(client);
  const auto evaluations = [&] {
    const auto report = flag::report_from_json(server_.wait_for("POST /v1/telemetry").body);
    std::uint64_t total = 0;
    if (report) {
      for (const auto& row : report->evaluations) total += row.variant == "live" ? row.count : 0;
    }
    return total;
  };
  ASSERT_TRUE(eventually([&] { return evaluations() == 5; }));
  EXPECT_EQ(evaluations(), 5u);
  server_.answer_telemetry(200);
  ASSERT_TRUE(eventually([&] { return evaluations() == 0; }));
}

TEST_F(SessionTest, AnOutageIsToldOnceAndSilenceIsStale) {
  ClientOptions with = options();
  with.server = "http://127.0.0.1:1";
  with.silence_max = milliseconds(100);
  auto client = Client::create(with);
  std::mutex mutex;
  std::vector<EventType> told;
  const auto events = client.on_event([&](const Event& event) {
    std::lock_guard lock(mutex);
    told.push_back(event.type);
  });
  ASSERT_TRUE(eventually([&] { return client.status().frozen; })) << "a server that never answers is silent";
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(mutex);
    return std::count(told.begin(), told.end(), EventType::kStale) == 1;
  }));
  client.close();
  EXPECT_LE(std::count(told.begin(), told.end(), EventType::kError), 1);
}

TEST_F(SessionTest, AnyNumberOfThreadsMayCloseAtOnce) {
  for (int round = 0; round < 10; ++round) {
    auto client = Client::create(options());
    server_.wait_for("GET /v1/flags/stream");
    std::latch all_there(4);
    std::vector<std::thread> closers;
    for (int i = 0; i < 4; ++i) {
      closers.emplace_back([&] {
        all_there.arrive_and_wait();
        client.close();
      });
    }
    for (std::thread& closer : closers) closer.join();
    server_.wait_for("DELETE /v1/instances/i%201?service=orders");
  }
}

TEST(Backoff, IsRandomBelowACeilingThatDoublesUpToALimit) {
  for (std::uint32_t seed = 1; seed <= 100; ++seed) {
    Backoff backoff(milliseconds(100), milliseconds(2'000), seed);
    std::int64_t ceiling = 100, sum = 0;
    for (int i = 0; i < 200; ++i) {
      const auto delay = backoff.next().count();
      EXPECT_GE(delay, 0);
      EXPECT_LE(delay, ceiling);
      ceiling = std::min<std::int64_t>(ceiling * 2, 2'000);
      sum += delay;
    }
    EXPECT_GT(sum / 200, 700) << "half the limit on average";
    EXPECT_LT(sum / 200, 1'300);
  }
}

TEST(Backoff, StartsOverOnlyAfterAConnectionThatWasOfUse) {
  const auto highest = [](bool was_good, milliseconds lasted) {
    std::int64_t most = 0;
    for (std::uint32_t seed = 1; seed <= 100; ++seed) {
      Backoff backoff(milliseconds(100), milliseconds(2'000), seed);
      for (int i = 0; i < 10; ++i) backoff.next();
      backoff.ended(was_good, lasted);
      most = std::max<std::int64_t>(most, backoff.next().count());
    }
    return most;
  };
  EXPECT_LE(highest(true, milliseconds(2'000)), 100);
  EXPECT_GT(highest(true, milliseconds(10)), 1'000) << "a server that drops everybody at once is left alone";
  EXPECT_GT(highest(false, milliseconds(60'000)), 1'000);
}

TEST_F(SessionTest, WithoutAServerItClosesAtOnceAndAnswersDefaults) {
  ClientOptions with = options();
  with.server = "http://127.0.0.1:1";
  auto client = Client::create(with);
  EXPECT_TRUE(client.bool_value("k", true, {}));
  EXPECT_FALSE(client.bool_value("k", false, {}));
  EXPECT_EQ(client.details("k", {}).error_code, "PROVIDER_NOT_READY");
  EXPECT_FALSE(client.wait_until_ready(milliseconds(1)));
  ASSERT_TRUE(eventually([&] { return !client.status().last_error.empty(); }));
}

}  // namespace
}  // namespace poundlock::client
