// flagd's protocols over gRPC, for every OpenFeature provider that speaks them: flagd.sync.v1 on one address,
// flagd.evaluation.v1 and v2 on another. One view of the flags with HTTP (flag_feed.h). Both addresses also
// answer grpc.health.v1.Health/Check.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "flag/report.h"
#include "server/flag_feed.h"
#include "telemetry/evaluation_log.h"

namespace poundlock::server {

// A stream's reader as it presented itself: by the request headers poundlock-service, poundlock-instance and
// poundlock-build. Without them the service is SyncFlagsRequest.provider_id, and the instance the address.
struct StreamInfo {
  std::uint64_t id = 0;  // of this server; never used twice
  std::string protocol;  // "flagd.sync.v1", "flagd.evaluation.v1", "flagd.evaluation.v2"
  std::string service;
  std::string instance;
  std::string build;
  std::string address;
  // It is on this machine, or brought a token that is accepted. What others say of themselves is not to be
  // relied on: they could make a fleet look as if it had heard of a kill, or fill the table of readers.
  bool vouched = false;
};

// Of gRPC's name for a peer: "ipv4:127.0.0.1:5000", "ipv6:%5B::1%5D:5000".
bool is_this_machine(std::string_view peer);

enum class StreamEnd {
  kClosed,    // the reader left, or its connection broke
  kTooSlow,   // it took nothing for the stall limit
  kShutdown,  // the server stops
};

struct GrpcLimits {
  std::size_t request_bytes_max = 1 << 20;
  std::size_t calls_max = 20'000;  // under way at a time, streams included
  std::size_t streams_max = 12'000;
  // Different ones that streams have and that choose anything: each is a snapshot of its own. There are as
  // many as the operator has flag sets, sources and rollouts; a stranger cannot make more.
  std::size_t selectors_max = 4'096;
  std::size_t connections_max = 12'000;  // of both addresses together: one more is closed at once
  Millis connection_idle_max{60'000};    // without any call: closed; its client connects again for the next
  int calls_per_connection_max = 1'000;
  std::size_t memory_bytes_max = 256 << 20;  // of gRPC's own buffers
  Millis stall_max{10'000};                  // with a message waiting, nothing taken for this long
  Millis keep_alive{20'000};                 // an EventStream says so when nothing else was said
  Millis client_ping_min{20'000};            // clients ping each 30 s; closer than this is a strike
  // Strikes without data between them: then GOAWAY. flagd's Python provider pings as fast as it may when its
  // caller is idle, and would lose the next evaluation with its connection.
  int ping_strikes_max = 1'000;
  Millis server_ping{30'000};  // so that a connection that died without a word ends, in ...
  Millis server_ping_timeout{10'000};
  Millis handshake_max{10'000};
  Millis tick{250};  // how often the limits above are looked at; real time
};

struct GrpcOptions {
  std::string sync_address;        // "127.0.0.1:8015"; port 0 takes any free one, "" is off
  std::string evaluation_address;  // usually port 8013
  // False: done without where the address is taken; doing_without() tells.
  bool sync_required = true, evaluation_required = true;
  std::string tls_certificate_file;  // PEM, with tls_key_file: TLS; neither: plain text
  std::string tls_key_file;
  // Of `authorization: Bearer TOKEN` or `x-api-key: TOKEN`; null: no token is needed. Any thread.
  std::function<bool(std::string_view token)> accept_token;
  bool token_needed = true;  // false: anybody may read, and a token only vouches for its bearer
  // flagd's context-value: sent as sync_context, and laid over each evaluation's context.
  boost::json::object static_context;
  // Request header, in lower case, to the attribute that it becomes; over the static context.
  std::map<std::string, std::string> header_to_context;
  // Who reads what, for the count of those that a kill has reached. In order for each stream, from several
  // threads, under a lock of the server: they must neither wait nor call the server. `delivered` says that
  // gRPC took the state (or that the reader has it already), not that the reader applied it.
  std::function<void(const StreamInfo&)> on_open;
  std::function<void(const StreamInfo&, flag::Revision)> on_delivered;
  std::function<void(const StreamInfo&, StreamEnd)> on_close;
  telemetry::EvaluationLog* evaluations = nullptr;  // outlives the server; null: nothing is counted
  GrpcLimits limits;
};

// Thread-safe. What the options refer to, the feed and the clock outlive the server.
class GrpcServer {
 public:
  // Errors (kUser): grpc.listen, grpc.tls.
  static Result<std::unique_ptr<GrpcServer>> start(FlagFeed& feed, const Clock& clock, GrpcOptions options);
  ~GrpcServer();  // stop() with one second
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  std::uint16_t sync_port() const;  // what was bound; 0: off
  std::uint16_t evaluation_port() const;
  const std::vector<std::string>& doing_without() const;  // of the addresses that could not be bound
  std::size_t streams() const;
  std::size_t connections() const;

  // Event streams hear provider_shutdown, calls under way may end within `grace`; waits until all are over.
  void stop(Millis grace);

 private:
  struct Parts;
  explicit GrpcServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace poundlock::server
