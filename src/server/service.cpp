#include "server/service.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <set>

#include "base/json.h"
#include "ports/cells.h"
#include "postgres/catalog_loader.h"
#include "rollout/spec.h"
#include "schema/identifier.h"
#include "server/body.h"
#include "server/routes_ofrep.h"
#include "store/sqlite_store.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;
constexpr std::string_view kTokenKey = "auth/admin";
constexpr std::string_view kUsageKey = "flags/usage";
constexpr Millis kUsageEvery{60'000};
constexpr std::size_t kManagementConnections = 64;
constexpr std::size_t kRolloutsMax = 16;  // driven at once; each has threads of its own

// Readable by its owner only, from its first byte on.
Status write_private(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written = file >= 0 &&
                       ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(file) == 0;
  if (file >= 0) ::close(file);
  if (!written) return fail(user_error("server.state_dir", fmt::format("cannot write {}", path)));
  return {};
}

std::string address_of(const HttpServer& server) {
  return to_string(rollout::ListenAddress{server.address(), server.port()});
}

// A gate that has no possible source would hold for ever: that is settled before anything begins.
Status settle_gates(rollout::Plan& plan, const Connections& connections) {
  std::vector<std::string> missing;
  if (connections.no_parity) {
    if (auto& waived = plan.gates["parity"].waived; !waived)
      waived = "the environment is compared with none (parity: none)";
  }
  const auto need = [&](const char* gate, bool has_source) {
    const auto set = plan.gates.find(gate);
    const bool waived = set != plan.gates.end() && set->second.waived;
    if (!has_source && !waived) missing.emplace_back(gate);
  };
  const bool shadow = connections.shadow != nullptr;
  for (const char* gate : {"dry_run_time", "lock_contention", "paths_equal", "rehearsal"}) need(gate, shadow);
  need("parity", connections.staging != nullptr);
  if (missing.empty()) return {};
  std::string waivers;
  for (const auto& gate : missing)
    waivers += fmt::format("{}{}: {{waive: \"why\"}}", waivers.empty() ? "" : ", ", gate);
  return fail(
      user_error("rollout.gate_without_source",
                 fmt::format("no {} is configured for database {}, so that these gates can never pass: {}",
                             shadow ? "staging (parity:)" : "shadow",
                             plan.database.empty() ? "app" : plan.database, fmt::join(missing, ", ")))
          .with_hint(fmt::format("configure it in poundlock.yaml, or waive them by name in the rollout file: "
                                 "gates: {{{}}}",
                                 waivers)));
}

// Only a table's owner may change it, and the ledger needs a schema: told before anything begins, not by the
// first step that fails.
Status check_rights(ports::Session& session, const rollout::Plan& plan) {
  std::set<std::string> tables;
  for (const auto& item : plan.items)
    if (item.step && !item.step->relation.empty()) tables.insert(item.step->relation);
  for (const auto& table : tables) {
    PL_TRY(const auto found,
           session.run("SELECT pg_catalog.pg_get_userbyid(c.relowner), current_user,"
                       " pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class c"
                       " WHERE c.oid = pg_catalog.to_regclass($1)",
                       {table}));
    if (found.rows.empty() || ports::to_bool(found.rows[0][2])) continue;
    const std::string owner = ports::to_text(found.rows[0][0]), us = ports::to_text(found.rows[0][1]);
    return fail(user_error("pg.privilege",
                           fmt::format("the role {} may not change {}: its owner is {}", us, table, owner))
                    .with_hint(fmt::format("let an administrator run ALTER TABLE {} OWNER TO {}; `poundlock "
                                           "doctor` shows what else is missing",
                                           table, schema::force_quote_identifier(us))));
  }
  PL_TRY(
      const auto ledger,
      session.run("SELECT pg_catalog.to_regnamespace('poundlock') IS NOT NULL OR"
                  " pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), current_user,"
                  " pg_catalog.current_database()"));
  if (ports::to_bool(ledger.rows.at(0)[0])) return {};
  const std::string us = ports::to_text(ledger.rows[0][1]), database = ports::to_text(ledger.rows[0][2]);
  return fail(user_error("pg.privilege",
                         fmt::format("the role {} may not create the schema poundlock in the database {}", us,
                                     database))
                  .with_hint(fmt::format("let an administrator run GRANT CREATE ON DATABASE {} TO {}",
                                         schema::force_quote_identifier(database),
                                         schema::force_quote_identifier(us))));
}

}  // namespace

Result<std::unique_ptr<Service>> Service::start(ServiceOptions options, Clock& clock) {
  std::unique_ptr<Service> out(new Service(std::move(options), clock));
  out->room_ = room_here(out->options_.grpc_eval || out->options_.grpc_sync);
  PL_CHECK(out->open_store());
  PL_CHECK(out->prepare_tokens());
  out->loop_ = std::make_unique<EventLoop>();
  out->metrics_ = std::make_unique<telemetry::AppMetrics>(clock);
  PL_CHECK(out->read_usage());
  out->metrics_->follow(&out->evaluations_, &out->usage_);
  SseOptions streams;
  streams.subscribers_max = out->room_.http_streams();
  auto* metrics = out->metrics_.get();
  streams.on_connect = [metrics](const SubscriberInfo& info) {
    metrics->stream_opened(info.service, info.instance, info.build);
  };
  streams.on_disconnect = [metrics](const SubscriberInfo& info, Departure) {
    metrics->stream_closed(info.service, info.instance);
  };
  out->hub_ = SseHub::create(*out->loop_, std::move(streams));
  PL_TRY(out->flags_, FlagService::open(*out->store_, clock));
  const auto deliver = [hub = out->hub_](const FlagView& view) {
    hub->publish("snapshot", fmt::format("{}.{}", view.revision.epoch, view.revision.number), view.document);
  };
  deliver(*out->flags_->view());
  out->delivery_ = out->flags_->listen([deliver](const ViewPtr&, const ViewPtr& now) { deliver(*now); });
  out->sources_ =
      std::make_unique<FlagSources>(out->options_.flags, out->options_.override_file, *out->flags_, clock);
  out->reload_flags();
  PL_CHECK(out->listen());
  PL_CHECK(out->resume_rollouts());
  out->loop_->start();
  out->http_->start();
  if (out->management_) out->management_->start();
  return out;
}

Service::~Service() {
  stopping_ = true;  // starts that wait for the one under way end at once
  std::map<std::string, std::shared_ptr<Driver>, std::less<>> drivers;
  {
    std::lock_guard lock(mutex_);
    drivers = drivers_;
  }
  // Drivers first, and they stay known: an order that arrives now is told that the server is stopping.
  for (auto& [name, driver] : drivers) driver->begin_stop();
  for (auto& [name, driver] : drivers) driver->stop();
  if (http_) http_->stop(Millis{500});
  if (management_) management_->stop(Millis{0});
  if (hub_) hub_->shutdown();
  if (loop_) loop_->stop();
  if (metrics_ && flags_) {
    metrics_->take_evaluations();
    (void)write_usage();
  }
}

Status Service::open_store() {
  std::error_code error;
  std::filesystem::create_directories(options_.state_dir, error);
  if (error) {
    return fail(user_error("server.state_dir",
                           fmt::format("cannot create {}: {}", options_.state_dir, error.message()))
                    .with_hint("give a folder that this user may write: --state DIR"));
  }
  store::SqliteOptions sqlite;
  sqlite.path = options_.state_dir + "/poundlock.db";
  PL_TRY(store_, store::open_sqlite(sqlite));
  return {};
}

Status Service::prepare_tokens() {
  token_file_ = options_.state_dir + "/admin-token";
  PL_TRY(const auto admin, prepare_token(kTokenKey, token_file_));
  token_is_new_ = admin.second;
  auth_ = std::make_unique<AdminAuth>(admin.first);
  PL_TRY(const auto application, prepare_token("auth/application", options_.state_dir + "/app-token"));
  auth_->set_application(application.first);
  return {};
}

Result<std::pair<std::string, bool>> Service::prepare_token(std::string_view key, const std::string& file) {
  PL_TRY(const auto stored, store_->get(key));
  if (stored) return std::pair(stored->value, false);
  PL_TRY(const std::string token, make_admin_token());
  PL_CHECK(write_private(file, token + "\n"));
  ports::AuditEntry audit;
  audit.at = clock_.now();
  audit.who = "server";
  audit.what = "token_made";
  audit.subject = std::string(key);
  audit.why = "first start";
  audit.details = "{}";
  PL_CHECK(store_->commit({{std::string(key), hash_token(token), 0}}, {audit}));
  return std::pair(hash_token(token), true);
}

bool Service::accepts(std::string_view token) const {
  const auto verdict = auth_->check(fmt::format("Bearer {}", token), "grpc", clock_.now());
  return verdict == AuthVerdict::kAdmin || verdict == AuthVerdict::kApplication;
}

Status Service::listen() {
  router_ = std::make_unique<Router>();
  add_health_routes(*router_, *this);
  add_ops_routes(*router_, *this);
  add_flag_routes(*router_, *this);
  add_ofrep_routes(*router_,
                   {*flags_, evaluations_, clock_, *loop_, room_.http_streams(), options_.context_values});
  add_flag_status_routes(*router_, *this);
  add_instance_routes(*router_, *this);
  add_rollout_routes(*router_, *this);
  add_otlp_routes(*router_, *this);
  HttpOptions http;
  http.address = options_.http.host;
  http.port = options_.http.port;
  http.hosts = options_.hosts;
  http.origins = options_.origins;
  http.reads_need_token = options_.require_token;
  http.connections_max = room_.http;
  PL_TRY(http_, HttpServer::bind(*loop_, *router_, *auth_, clock_, std::move(http)));
  bound_.push_back({"http", address_of(*http_)});
  return listen_management();
}

// Health and figures where nobody else's requests are in the way, and nothing else is reachable.
Status Service::listen_management() {
  bound_.push_back({"management", ""});
  if (!options_.management) return {};
  management_router_ = std::make_unique<Router>();
  add_health_routes(*management_router_, *this);
  HttpOptions http;
  http.address = options_.management->address.host;
  http.port = options_.management->address.port;
  http.hosts = options_.hosts;
  http.connections_max = kManagementConnections;
  http.workers = 1;
  auto server = HttpServer::bind(*loop_, *management_router_, *auth_, clock_, std::move(http));
  if (server) {
    management_ = std::move(*server);
    bound_.back().address = address_of(*management_);
    return {};
  }
  if (options_.management->required) return fail(server.error());
  spdlog::warn("no management port: {}", server.error().message);
  return {};
}

Result<bj::object> Service::start_rollout(const bj::object& body) {
  std::lock_guard starting(start_mutex_);
  if (stopping_) {
    return fail(make_error(Disposition::kRetry, "server.stopping", "the server is stopping")
                    .with_hint("start it again once it is back"));
  }
  if (options_.config.environments.empty()) {
    return fail(
        user_error("server.no_database",
                   "this server was started without poundlock.yaml: it serves flags and drives no rollout")
            .with_hint("`poundlock init` writes poundlock.yaml; start poundlockd with it"));
  }
  const std::string source = text_of(body, "source");
  const std::string file = text_of(body, "file").empty() ? "rollout.yaml" : text_of(body, "file");
  PL_TRY(const auto spec, rollout::parse_rollout(source, file));
  {
    std::lock_guard lock(mutex_);
    const auto live = std::count_if(drivers_.begin(), drivers_.end(),
                                    [](const auto& one) { return !one.second->finished(); });
    if (static_cast<std::size_t>(live) >= kRolloutsMax)
      return fail(make_error(Disposition::kConflict, "server.rollouts",
                             fmt::format("{} rollouts are under way already", live)));
  }
  PL_TRY(auto connections, connect(options_.config, options_.environment, spec.database, clock_));
  PL_TRY(auto session, connections.primary->connect());
  // Reading the catalog takes a lock on each table: whoever holds one in the way must not hold up this
  // server, nor its stop.
  PL_CHECK(session->run("SET lock_timeout = '2s'"));
  PL_CHECK(session->run("SET statement_timeout = '30s'"));
  PL_TRY(const auto catalog, postgres::load_catalog(*session));
  rollout::PlanOptions options;
  if (const auto* speed = body.if_contains("speed"); speed && speed->is_number())
    options.speed = speed->to_number<double>();
  PL_TRY(auto plan, rollout::make_plan(spec, catalog, options));
  PL_CHECK(settle_gates(plan, connections));
  if (plan.flag)
    if (auto free = flags_->check_free(plan.flag->key, plan.rollout); !free)
      return fail(std::move(free).error().at(plan.flag->where));
  PL_CHECK(check_rights(*session, plan));
  const std::string who = who_of(body);
  PL_TRY(auto controller,
         engine::Controller::start(*store_, *flags_, std::move(plan), source, who, clock_.now()));
  const std::string name = controller.plan().rollout;
  // The flag is there, and false, when we answer: an application may be deployed at once, and the next start
  // sees that the key is taken.
  if (auto first = controller.tick({}, clock_.now()); !first)
    spdlog::warn("{}: the flag is published later: {}", name, first.error().to_string());
  add_driver(std::move(controller));
  return bj::object{{"rollout", name}};
}

void Service::add_driver(engine::Controller controller) {
  const std::string name = controller.plan().rollout;
  const auto open = [this, database = controller.plan().database](std::function<bool()> stopped) {
    return connect(options_.config, options_.environment, database, clock_, std::move(stopped));
  };
  auto driver = std::make_shared<Driver>(std::move(controller), open, *metrics_, clock_, nullptr);
  std::shared_ptr<Driver> old;
  std::lock_guard lock(mutex_);
  old = std::exchange(drivers_[name], std::move(driver));
}

Status Service::resume_rollouts() {
  PL_TRY(const auto names, engine::Controller::names(*store_));
  for (const auto& name : names) {
    auto controller = engine::Controller::load(*store_, *flags_, name, clock_.now());
    if (!controller) {
      // One rollout that cannot be read must not take the flags and the kills of all others with it.
      spdlog::error("rollout {} is not driven: {}", name, controller.error().to_string());
      unreadable_.emplace(name, std::move(controller).error());
      continue;
    }
    add_driver(std::move(*controller));
  }
  return {};
}

Result<std::shared_ptr<Driver>> Service::find(std::string_view name) const {
  std::lock_guard lock(mutex_);
  if (const auto found = drivers_.find(name); found != drivers_.end()) return found->second;
  if (const auto found = unreadable_.find(name); found != unreadable_.end()) {
    return fail(
        make_error(Disposition::kConflict, "rollout.not_driven",
                   fmt::format("rollout {} cannot be read: {}", name, found->second.to_string()))
            .with_hint(
                "its flag is served as it was; the override file of its applications can turn it off"));
  }
  return fail(user_error("rollout.unknown", fmt::format("there is no rollout {}", name))
                  .with_hint("`poundlock status` lists the rollouts"));
}

Status Service::request(std::string_view name, rollout::Request request) {
  PL_TRY(const auto driver, find(name));
  return driver->request(std::move(request));
}

Result<RolloutView> Service::view(std::string_view name) const {
  PL_TRY(const auto driver, find(name));
  return driver->view();
}

std::vector<RolloutView> Service::views() const {
  std::lock_guard lock(mutex_);
  std::vector<RolloutView> out;
  for (const auto& [name, driver] : drivers_) out.push_back(driver->view());
  return out;
}

void Service::reload_flags() {
  sources_->reload();
}

void Service::poll_flags() {
  sources_->poll();
}

// A damaged record is no reason to serve no flags: records begin anew.
Status Service::read_usage() {
  PL_TRY(const auto stored, store_->get(kUsageKey));
  if (stored) {
    usage_version_ = stored->version;
    if (auto read = usage_.load(stored->value); !read)
      spdlog::error("the usage of flags is recorded anew: {}", read.error().to_string());
  }
  usage_kept_ = usage_.version();
  usage_.begin(clock_.now());
  usage_written_ = clock_.steady();
  return {};
}

Status Service::write_usage() {
  const auto version = usage_.version();
  if (version == usage_kept_) return {};
  PL_CHECK(store_->commit({{std::string(kUsageKey), usage_.save(), usage_version_}}, {}));
  ++usage_version_;
  usage_kept_ = version;
  return {};
}

void Service::keep_usage() {
  const auto now = clock_.steady();
  if (now - usage_written_ < kUsageEvery) return;
  usage_written_ = now;
  metrics_->take_evaluations();
  std::vector<std::string> keys;
  for (const auto* flag : flags_->view()->snapshot->flags()) keys.push_back(flag->key);
  usage_.keep_only(keys);
  if (const auto written = write_usage(); !written)
    spdlog::warn("the usage of flags is written later: {}", written.error().to_string());
}

}  // namespace poundlock::server
