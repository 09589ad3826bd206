// The application's side of Poundlock: evaluates flags inside the process from a snapshot that poundlockd
// streams. Never throws, aborts or prints; starts at most four threads. Every method may be called from
// any thread. An evaluation takes no lock and waits for nothing.
//
// Without a server it uses the last good snapshot on disk; without that, the code's own defaults. When
// the stream falls silent the snapshot is kept as it is: exposure never widens on its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "poundlock/context.h"

namespace poundlock {

struct ClientOptions {
  std::string server;         // "http://127.0.0.1:8016"; empty: no server, disk and override only
  std::string service;        // groups instances in reports: "orders"
  std::string instance;       // unique; empty: host name, process id and a random part
  std::string build;          // what is deployed, "v41"; closing asks every instance for its build
  bool legacy_path = true;    // false: this build holds no code that reads or writes legacy
  std::string token;          // sent as Authorization: Bearer where not empty
  std::string cache_file;     // last good snapshot; empty: not kept over restarts
  std::string override_file;  // {"flags": {"KEY": "variant"}}; outranks the snapshot until closing
  std::chrono::milliseconds report_interval{1'000};
  std::chrono::milliseconds silence_max{6'000};  // three beats: then the client reports itself frozen
};

struct Details {
  std::string variant;     // empty: the default given by the caller holds
  std::string reason;      // OpenFeature's: STATIC, TARGETING_MATCH, DEFAULT, DISABLED, ERROR; or OVERRIDE
  std::string error_code;  // FLAG_NOT_FOUND, TYPE_MISMATCH, PARSE_ERROR, GENERAL; empty without error
  std::string error_message;
};

struct ClientStatus {
  bool connected = false;  // the stream is open and a snapshot came through it
  bool frozen = false;     // silent for longer than silence_max: the snapshot is kept, nothing widens
  bool from_disk = false;  // the snapshot in use was read from cache_file
  std::uint64_t epoch = 0;
  std::uint64_t revision = 0;
  std::uint64_t refused = 0;  // snapshots that were invalid, too large or older than the one in use
  std::string last_error;     // the newest trouble in plain words; empty where there was none
};

namespace client {
class Core;
class Session;
}  // namespace client

class Client {
 public:
  // Always answers a client that can be used at once; status() tells whether it has reached the server.
  static Client create(ClientOptions options) noexcept;
  // A client of one fixed flag document, for tests of applications.
  static Client offline(std::string_view document) noexcept;

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();  // close()

  bool bool_value(std::string_view key, bool fallback, const Context& context) const noexcept;
  std::string string_value(std::string_view key, std::string_view fallback,
                           const Context& context) const noexcept;
  double number_value(std::string_view key, double fallback, const Context& context) const noexcept;
  Details details(std::string_view key, const Context& context) const noexcept;

  // False where no snapshot, from server or disk, was there in time.
  bool wait_until_ready(std::chrono::milliseconds limit) const noexcept;
  ClientStatus status() const noexcept;
  // Sends the last figures and leaves, so that the server does not wait for this instance; at most a few
  // seconds. Evaluations go on answering from the last snapshot.
  void close() noexcept;

  const std::shared_ptr<client::Core>& core() const { return core_; }  // for Router

 private:
  Client() noexcept;
  std::shared_ptr<client::Core> core_;
  std::unique_ptr<client::Session> session_;
};

}  // namespace poundlock
