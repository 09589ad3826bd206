#include "poundlock/client.h"

#include <fmt/format.h>
#include <unistd.h>

#include <random>

#include "base/names.h"
#include "client/details_of.h"
#include "client/session.h"

namespace poundlock {

namespace {

std::string default_instance() {
  char host[128] = "host";
  if (::gethostname(host, sizeof host) != 0) host[0] = '\0';
  host[sizeof host - 1] = '\0';
  return fmt::format("{}-{}-{:08x}", host, ::getpid(), std::random_device{}());
}

template <typename T>
T value_of(client::Core& core, FlagType type, client::Read<T> read, std::string_view key, T fallback,
           const Context& context) {
  if (core.has_hooks())
    return client::details_of<T>(core, type, read, key, std::move(fallback), context).value;
  std::optional<T> value = read(core.evaluate(key, context));
  return value ? std::move(*value) : std::move(fallback);
}

}  // namespace

Client::Client() noexcept = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&& other) noexcept {
  if (this == &other) return *this;
  close();
  session_ = std::move(other.session_);
  core_ = std::move(other.core_);
  return *this;
}
Client::~Client() {
  close();
}

Client Client::create(ClientOptions options) noexcept {
  if (options.instance.empty()) options.instance = default_instance();
  options.instance = clean_name(options.instance);
  options.service = clean_name(options.service, "application");
  options.build = clean_name(options.build);
  Client made;
  made.core_ = std::make_shared<client::Core>(std::move(options));
  made.core_->load_cache();
  // The override holds from the first evaluation on, not from when the thread first looks.
  client::OverrideFile overrides(made.core_->options().override_file);
  if (auto changed = overrides.poll(); changed && *changed) made.core_->set_overrides(overrides.overrides());
  try {
    made.session_ = std::make_unique<client::Session>(made.core_);
  } catch (const std::exception& error) {  // no thread to be had: evaluations still answer
    made.core_->note_trouble(fmt::format("cannot start: {}", error.what()));
  }
  return made;
}

Client Client::offline(std::string_view document) noexcept {
  Client made;
  made.core_ = std::make_shared<client::Core>(ClientOptions{});
  made.core_->offer(document);
  return made;
}

bool Client::bool_value(std::string_view key, bool fallback, const Context& context) const noexcept {
  return value_of<bool>(*core_, FlagType::kBool, client::as_bool, key, fallback, context);
}

std::string Client::string_value(std::string_view key, std::string_view fallback,
                                 const Context& context) const noexcept {
  return value_of<std::string>(*core_, FlagType::kString, client::as_string, key, std::string(fallback),
                               context);
}

std::int64_t Client::int64_value(std::string_view key, std::int64_t fallback,
                                 const Context& context) const noexcept {
  return value_of<std::int64_t>(*core_, FlagType::kInt64, client::as_int64, key, fallback, context);
}

double Client::double_value(std::string_view key, double fallback, const Context& context) const noexcept {
  return value_of<double>(*core_, FlagType::kDouble, client::as_double, key, fallback, context);
}

double Client::number_value(std::string_view key, double fallback, const Context& context) const noexcept {
  return double_value(key, fallback, context);
}

std::string Client::object_value(std::string_view key, std::string_view fallback,
                                 const Context& context) const noexcept {
  return value_of<std::string>(*core_, FlagType::kObject, client::as_object, key, std::string(fallback),
                               context);
}

BoolDetails Client::bool_details(std::string_view key, bool fallback, const Context& context,
                                 const EvaluationOptions& options) const noexcept {
  return client::details_of<bool>(*core_, FlagType::kBool, client::as_bool, key, fallback, context, options);
}

StringDetails Client::string_details(std::string_view key, std::string_view fallback, const Context& context,
                                     const EvaluationOptions& options) const noexcept {
  return client::details_of<std::string>(*core_, FlagType::kString, client::as_string, key,
                                         std::string(fallback), context, options);
}

Int64Details Client::int64_details(std::string_view key, std::int64_t fallback, const Context& context,
                                   const EvaluationOptions& options) const noexcept {
  return client::details_of<std::int64_t>(*core_, FlagType::kInt64, client::as_int64, key, fallback, context,
                                          options);
}

DoubleDetails Client::double_details(std::string_view key, double fallback, const Context& context,
                                     const EvaluationOptions& options) const noexcept {
  return client::details_of<double>(*core_, FlagType::kDouble, client::as_double, key, fallback, context,
                                    options);
}

StringDetails Client::object_details(std::string_view key, std::string_view fallback, const Context& context,
                                     const EvaluationOptions& options) const noexcept {
  return client::details_of<std::string>(*core_, FlagType::kObject, client::as_object, key,
                                         std::string(fallback), context, options);
}

Details Client::details(std::string_view key, const Context& context) const noexcept {
  return client::describe(core_->evaluate(key, context));
}

void Client::set_context(Context context) noexcept {
  core_->set_context(std::move(context));
}

bool Client::add_hook(Hook hook) noexcept {
  try {
    return core_->add_hook(std::move(hook));
  } catch (...) {  // no memory, or what the application's move threw
    return false;
  }
}

Subscription Client::on_event(std::function<void(const Event&)> handler) noexcept {
  Subscription made;
  try {
    made.id_ = core_->subscribe(std::move(handler));
    made.queue_ = core_->events();
  } catch (...) {  // as above
    made.id_ = 0;
  }
  return made;
}

Subscription Client::on_change(std::function<void(const std::vector<std::string>&)> handler) noexcept {
  if (!handler) return {};
  try {
    return on_event([handler = std::move(handler)](const Event& event) {
      if (event.type == EventType::kConfigurationChanged) handler(event.flags_changed);
    });
  } catch (...) {
    return {};
  }
}

bool Client::wait_until_ready(std::chrono::milliseconds limit) const noexcept {
  return core_->wait_until_ready(limit);
}

ClientStatus Client::status() const noexcept {
  return core_->status();
}

void Client::close() noexcept {
  if (session_) session_->close();
  if (core_) core_->events()->close();
}

const std::shared_ptr<client::Core>& Client::core() const noexcept {
  return core_;
}

}  // namespace poundlock
