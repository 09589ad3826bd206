// The application's side of Poundlock: evaluates flags inside the process from a snapshot that poundlockd
// streams, in the shape of OpenFeature's evaluation API (specification, section 1). Never throws, aborts or
// prints; starts at most three threads, and one for each Router that compares reads. Every method may be
// called from any thread. An evaluation takes no lock and waits for nothing.
//
// Without a server it uses the last good snapshot on disk; without that, the code's own defaults. When
// the stream falls silent the snapshot is kept as it is: exposure never widens on its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "poundlock/context.h"
#include "poundlock/details.h"
#include "poundlock/event.h"
#include "poundlock/export.h"
#include "poundlock/hook.h"

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
  Context context;  // of every evaluation; what a call says of the same attribute wins
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
  POUNDLOCK_API static Client create(ClientOptions options) noexcept;
  // A client of one fixed flag document, for tests of applications.
  POUNDLOCK_API static Client offline(std::string_view document) noexcept;

  POUNDLOCK_API Client(Client&&) noexcept;
  POUNDLOCK_API Client& operator=(Client&&) noexcept;
  POUNDLOCK_API ~Client();  // close()

  // The value that holds for `context`; `fallback` where the flag is unknown, disabled, broken or of another
  // type. A number flag is read as either number; as int64 its fraction is cut off, as flagd does, and one
  // that does not fit is of another type. An object (or list) is JSON text on one line, its keys sorted:
  // equal objects give equal bytes.
  POUNDLOCK_API bool bool_value(std::string_view key, bool fallback, const Context& context) const noexcept;
  POUNDLOCK_API std::string string_value(std::string_view key, std::string_view fallback,
                                         const Context& context) const noexcept;
  POUNDLOCK_API std::int64_t int64_value(std::string_view key, std::int64_t fallback,
                                         const Context& context) const noexcept;
  POUNDLOCK_API double double_value(std::string_view key, double fallback,
                                    const Context& context) const noexcept;
  POUNDLOCK_API double number_value(std::string_view key, double fallback,
                                    const Context& context) const noexcept;  // double_value
  POUNDLOCK_API std::string object_value(std::string_view key, std::string_view fallback,
                                         const Context& context) const noexcept;

  // The same with variant, reason, error and metadata.
  POUNDLOCK_API BoolDetails bool_details(std::string_view key, bool fallback, const Context& context,
                                         const EvaluationOptions& options = {}) const noexcept;
  POUNDLOCK_API StringDetails string_details(std::string_view key, std::string_view fallback,
                                             const Context& context,
                                             const EvaluationOptions& options = {}) const noexcept;
  POUNDLOCK_API Int64Details int64_details(std::string_view key, std::int64_t fallback,
                                           const Context& context,
                                           const EvaluationOptions& options = {}) const noexcept;
  POUNDLOCK_API DoubleDetails double_details(std::string_view key, double fallback, const Context& context,
                                             const EvaluationOptions& options = {}) const noexcept;
  POUNDLOCK_API StringDetails object_details(std::string_view key, std::string_view fallback,
                                             const Context& context,
                                             const EvaluationOptions& options = {}) const noexcept;
  // Whatever its type; without hooks.
  POUNDLOCK_API Details details(std::string_view key, const Context& context) const noexcept;

  // From the next evaluation on, in every thread.
  POUNDLOCK_API void set_context(Context context) noexcept;
  // For every evaluation from now on, those of Routers too (as a string, KEY.stage). False: 100 are there.
  POUNDLOCK_API bool add_hook(Hook hook) noexcept;

  // Handlers are called one at a time, on a thread of the library, while no lock of ours is held: one may
  // evaluate, subscribe and unsubscribe. What a handler throws is dropped. At most 64 events wait; beyond
  // that changes are merged, so that no key is lost, and the oldest other event is dropped.
  // A handler is told at once where the client is ready or stale already.
  [[nodiscard]] POUNDLOCK_API Subscription on_event(std::function<void(const Event&)> handler) noexcept;
  // The keys, sorted, that are new, gone or of another definition; after the snapshot came into use. The
  // first snapshot changes every key.
  [[nodiscard]] POUNDLOCK_API Subscription
  on_change(std::function<void(const std::vector<std::string>&)> handler) noexcept;

  // False where no snapshot, from server or disk, was there in time.
  POUNDLOCK_API bool wait_until_ready(std::chrono::milliseconds limit) const noexcept;
  POUNDLOCK_API ClientStatus status() const noexcept;
  // Sends the last figures and leaves, so that the server does not wait for this instance; at most a few
  // seconds. Evaluations go on answering from the last snapshot; no event comes any more.
  POUNDLOCK_API void close() noexcept;

  const std::shared_ptr<client::Core>& core() const noexcept;  // the library's own

 private:
  Client() noexcept;
  std::shared_ptr<client::Core> core_;
  std::unique_ptr<client::Session> session_;
};

}  // namespace poundlock
