// poundlockd put together: store, flags, metrics, HTTP, and a driver for each rollout.
#pragma once

#include <atomic>
#include <boost/json/object.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/state_store.h"
#include "rollout/config.h"
#include "server/driver.h"
#include "server/flag_service.h"
#include "server/flag_sources.h"
#include "server/http/auth.h"
#include "server/http/event_loop.h"
#include "server/http/http_server.h"
#include "server/http/router.h"
#include "server/http/sse.h"
#include "server/room.h"
#include "telemetry/app_metrics.h"
#include "telemetry/evaluation_log.h"

namespace poundlock::server {

struct ListenWish {
  rollout::ListenAddress address;
  bool required = true;  // false: only a default, done without where it is taken
};

struct ServiceOptions {
  rollout::Config config;
  std::string environment;  // "" is the default one; a server serves one environment
  std::string state_dir;
  rollout::ListenAddress http{"127.0.0.1", 8016};
  // nullopt: not opened.
  std::optional<ListenWish> grpc_eval, grpc_sync, management;
  std::vector<FlagSource> flags;            // plain flags, read again when they change
  std::string override_file;                // "" for none
  boost::json::object context_values;       // put over the context of each evaluation
  std::vector<std::string> origins, hosts;  // as in HttpOptions
  bool require_token = false;               // reading flags needs a token, too
  std::string tls_cert, tls_key;            // files, of gRPC; "" for plain text
};

// Where a port came to be; "" where it is not open.
struct Bound {
  std::string name;     // "http", "grpc-eval", "management", "grpc-sync"
  std::string address;  // "127.0.0.1:8016"
};

// Thread-safe once started.
class Service {
 public:
  static Result<std::unique_ptr<Service>> start(ServiceOptions options, Clock& clock);
  ~Service();  // stops: streams end, what is under way is cancelled and resumes with the next start

  std::string url() const { return http_->url(); }
  std::string token_file() const { return token_file_; }
  bool token_is_new() const { return token_is_new_; }
  const std::vector<Bound>& bound() const { return bound_; }
  void reload_flags();  // takes what the flag files hold now; a bad one changes nothing
  void poll_flags();    // the same for what has been there for two calls
  std::vector<std::string> missing_flags() const { return sources_->missing(); }
  std::vector<RefusedFile> refused_flag_files() const { return sources_->refused(); }

  // The admin API's verbs.
  Result<boost::json::object> start_rollout(const boost::json::object& body);
  Status request(std::string_view name, rollout::Request request);
  Result<RolloutView> view(std::string_view name) const;
  std::vector<RolloutView> views() const;

  const ServiceOptions& options() const { return options_; }
  const Room& room() const { return room_; }
  bool accepts(std::string_view token) const;  // the admin's or the applications'
  FlagService& flags() { return *flags_; }
  telemetry::AppMetrics& metrics() { return *metrics_; }
  telemetry::EvaluationLog& evaluations() { return evaluations_; }
  telemetry::FlagUsage& usage() { return usage_; }
  void keep_usage();  // writes down, once a minute, what was evaluated when
  ports::StateStore& store() { return *store_; }
  const Clock& clock() const { return clock_; }
  std::shared_ptr<SseHub> hub() { return hub_; }

 private:
  Service(ServiceOptions options, Clock& clock) : options_(std::move(options)), clock_(clock) {}
  Status open_store();
  Status prepare_tokens();
  // The hash that the store keeps, and whether the token was made just now (and written to `file`).
  Result<std::pair<std::string, bool>> prepare_token(std::string_view key, const std::string& file);
  Status resume_rollouts();
  Status read_usage();
  Status write_usage();
  Status listen();
  Status listen_management();
  Result<std::shared_ptr<Driver>> find(std::string_view name) const;
  void add_driver(engine::Controller controller);

  ServiceOptions options_;
  Room room_;
  Clock& clock_;
  std::unique_ptr<ports::StateStore> store_;
  std::string token_file_;
  bool token_is_new_ = false;
  std::unique_ptr<AdminAuth> auth_;
  std::unique_ptr<EventLoop> loop_;
  std::shared_ptr<SseHub> hub_;
  std::unique_ptr<telemetry::AppMetrics> metrics_;
  telemetry::EvaluationLog evaluations_;
  telemetry::FlagUsage usage_;
  std::int64_t usage_version_ = 0;  // in the store
  std::uint64_t usage_kept_ = 0;    // the usage's own
  TimePoint usage_written_;         // steady
  std::unique_ptr<FlagService> flags_;
  std::shared_ptr<void> delivery_;  // of new snapshots to the stream
  std::unique_ptr<Router> router_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Router> management_router_;
  std::unique_ptr<HttpServer> management_;
  std::vector<Bound> bound_;
  std::unique_ptr<FlagSources> sources_;

  std::mutex start_mutex_;  // one start at a time
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Driver>, std::less<>> drivers_;
  std::map<std::string, Error, std::less<>> unreadable_;  // in the store, but not to be understood
};

// Each file of routes adds its own.
void add_health_routes(Router& router, Service& service);       // health, readiness, metrics
void add_ops_routes(Router& router, Service& service);          // audit
void add_flag_routes(Router& router, Service& service);         // OFREP, stream, flag get/set/list
void add_flag_status_routes(Router& router, Service& service);  // who has it, who needs it
void add_instance_routes(Router& router, Service& service);     // applications: register, ack, telemetry
void add_rollout_routes(Router& router, Service& service);      // status and orders
void add_otlp_routes(Router& router, Service& service);         // OpenTelemetry metrics of applications

}  // namespace poundlock::server
