// A client's life with poundlockd: registers, follows the flag stream, acknowledges each applied
// snapshot, reports once a second, and leaves properly. Two threads; each owns its connection.
//   POST   /v1/instances                      {service, instance, build, legacy_path}
//   GET    /v1/flags/stream?instance&service&build    events: snapshot (id EPOCH.REVISION), beat (2 s)
//   POST   /v1/instances/{instance}/ack?service       {epoch, revision}
//   POST   /v1/telemetry                      flag::Report
//   DELETE /v1/instances/{instance}?service
// Reconnects after a random delay between 0 and 100 ms, doubling to 2 s (backoff.h); it starts over after a
// connection that brought a snapshot and lasted 2 s. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "client/core.h"
#include "client/http.h"
#include "client/sse_parser.h"

namespace poundlock::client {

class Session {
 public:
  explicit Session(std::shared_ptr<Core> core);
  ~Session();    // close()
  void close();  // from any number of threads, not from the session's own

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  void follow();  // the stream thread
  Status connect_and_read();
  void on_event(const SseEvent& event);
  void speak();  // the reporting thread
  void acknowledge(flag::Revision revision);
  void send_report();
  void watch_silence();
  bool pause(std::chrono::milliseconds duration);  // false: closing

  std::shared_ptr<Core> core_;
  HttpClient listener_;
  HttpClient speaker_;
  const std::string instance_path_;
  const std::string service_query_;  // two services may each have an instance of one name
  std::mutex close_mutex_;           // taken before mutex_
  std::mutex mutex_;
  std::condition_variable wake_;
  bool closing_ = false;  // the stream thread ends
  bool leaving_ = false;  // then the reporting thread: nobody may register again after its DELETE
  std::optional<flag::Revision> to_acknowledge_;
  std::atomic<std::int64_t> last_heard_ms_;
  std::atomic<bool> snapshot_came_{false};  // through the present connection
  std::thread follower_;
  std::thread reporter_;
};

}  // namespace poundlock::client
