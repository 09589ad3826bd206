// For the tests of gRPC: a flag service with a clock that stands still, and a client without generated code.
#pragma once

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "server/flag_service.h"
#include "server/grpc/grpc_server.h"
#include "store/sqlite_fixture.h"

namespace poundlock::server {

inline constexpr std::chrono::seconds kPatience{20};  // how long a test waits before it fails

// False: it never came to be.
template <typename Condition>
bool comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class StillClock final : public Clock {
 public:
  TimePoint now() const override { return {1'800'000'000'000 + ms_}; }
  TimePoint steady() const override { return {ms_}; }
  void sleep(Millis duration) override { ms_ += duration.count(); }

 private:
  std::atomic<std::int64_t> ms_{1'000};
};

using CallHeaders = std::map<std::string, std::string>;

inline grpc::ByteBuffer buffer_of(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

inline std::string bytes_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (buffer.Dump(&slices).ok())
    for (const auto& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

template <typename Message>
struct Answer {
  grpc::Status status;
  Message message;
  int code() const { return static_cast<int>(status.error_code()); }
};

// A call that the server answers with a stream. Reads one message at a time, when asked to.
class ClientStream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  ClientStream(grpc::GenericStub& stub, const std::string& method, const std::string& request,
               const CallHeaders& headers)
      : request_(buffer_of(request)) {
    for (const auto& [name, value] : headers) context_.AddMetadata(name, value);
    stub.PrepareBidiStreamingCall(&context_, method, {}, this);
    StartWriteLast(&request_, {});
    StartCall();
  }
  ~ClientStream() override {
    context_.TryCancel();
    done_.get_future().wait();
  }

  // The next message; nullopt: the stream has ended (or the test waited in vain).
  template <typename Message>
  std::optional<Message> next() {
    StartRead(&in_);
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, kPatience, [this] { return read_.has_value(); })) return std::nullopt;
    const bool ok = *std::exchange(read_, std::nullopt);
    Message message;
    if (!ok || !message.ParseFromString(bytes_of(in_))) return std::nullopt;
    return message;
  }
  grpc::Status end() {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, kPatience, [this] { return ended_.has_value(); });
    return ended_.value_or(grpc::Status(grpc::StatusCode::UNKNOWN, "the test waited in vain"));
  }
  void cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    std::lock_guard lock(mutex_);
    read_ = ok;
    arrived_.notify_all();
  }
  void OnDone(const grpc::Status& status) override {
    {
      std::lock_guard lock(mutex_);
      ended_ = status;
      arrived_.notify_all();
    }
    done_.set_value();
  }

 private:
  grpc::ClientContext context_;
  grpc::ByteBuffer request_, in_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::optional<bool> read_;
  std::optional<grpc::Status> ended_;
  std::promise<void> done_;
};

class Client {
 public:
  explicit Client(std::uint16_t port,
                  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials(),
                  grpc::ChannelArguments arguments = {})
      : stub_(grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), credentials,
                                        own_connection(std::move(arguments)))) {}
  Client(std::uint16_t port, const std::string& address)
      : stub_(grpc::CreateCustomChannel(address + ":" + std::to_string(port),
                                        grpc::InsecureChannelCredentials(), own_connection({}))) {}

  template <typename Message>
  Answer<Message> call(const std::string& method, const std::string& request,
                       const CallHeaders& headers = {}) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    for (const auto& [name, value] : headers) context.AddMetadata(name, value);
    const grpc::ByteBuffer sent = buffer_of(request);
    grpc::ByteBuffer received;
    std::promise<grpc::Status> over;
    stub_.UnaryCall(&context, method, {}, &sent, &received,
                    [&](grpc::Status status) { over.set_value(std::move(status)); });
    Answer<Message> out{over.get_future().get(), {}};
    const bool read = !out.status.ok() || out.message.ParseFromString(bytes_of(received));
    EXPECT_TRUE(read) << "the answer is no such message";
    return out;
  }
  std::unique_ptr<ClientStream> stream(const std::string& method, const std::string& request,
                                       const CallHeaders& headers = {}) {
    return std::make_unique<ClientStream>(stub_, method, request, headers);
  }

 private:
  static grpc::ChannelArguments own_connection(grpc::ChannelArguments arguments) {
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // not shared with the tests before
    return arguments;
  }
  grpc::GenericStub stub_;
};

class GrpcFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = std::move(*fixture_.open());
    flags_ = std::move(*FlagService::open(*store_, clock_));
  }
  void start(GrpcOptions options = {}) {
    options.sync_address = options.evaluation_address = "127.0.0.1:0";
    options.limits.tick = Millis{5};
    auto started = GrpcServer::start(*flags_, clock_, std::move(options));
    ASSERT_TRUE(started) << started.error().to_string();
    server_ = std::move(*started);
    sync_ = std::make_unique<Client>(server_->sync_port());
    evaluation_ = std::make_unique<Client>(server_->evaluation_port());
  }
  void set(std::string_view key, const std::string& definition) {
    const auto done = flags_->set(key, boost::json::parse(definition).as_object(), "test", "");
    ASSERT_TRUE(done) << done.error().to_string();
  }
  void set_bool(std::string_view key, const std::string& fallback, const std::string& metadata = "{}") {
    set(key, R"({"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":")" + fallback +
                 R"(","metadata":)" + metadata + "}");
  }

  store::SqliteFixture fixture_;
  StillClock clock_;
  std::unique_ptr<ports::StateStore> store_;
  std::unique_ptr<FlagService> flags_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<Client> sync_, evaluation_;
};

}  // namespace poundlock::server
