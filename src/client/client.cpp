#include "poundlock/client.h"

#include <fmt/format.h>
#include <unistd.h>

#include <random>

#include "client/context_attributes.h"
#include "client/core.h"
#include "base/names.h"
#include "client/session.h"

namespace poundlock {

namespace {

std::string default_instance() {
  char host[128] = "host";
  if (::gethostname(host, sizeof host) != 0) host[0] = '\0';
  host[sizeof host - 1] = '\0';
  return fmt::format("{}-{}-{:08x}", host, ::getpid(), std::random_device{}());
}

const char* reason_of(const client::Evaluated& result) {
  return result.overridden ? "OVERRIDE" : flag::to_string(result.reason);
}

bool of_type(const client::Evaluated& result, flag::VariantType type) {
  return result.variant != nullptr && result.flag->type == type;
}

}  // namespace

Client::Client() noexcept = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
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
  const client::Evaluated result = core_->evaluate(key, context);
  if (of_type(result, flag::VariantType::kBool)) return result.variant->value.as_bool();
  if (result.variant == nullptr && result.flag == nullptr && !result.name.empty()) {
    if (result.name == "on" || result.name == "true") return true;
    if (result.name == "off" || result.name == "false") return false;
  }
  return fallback;
}

std::string Client::string_value(std::string_view key, std::string_view fallback,
                                 const Context& context) const noexcept {
  const client::Evaluated result = core_->evaluate(key, context);
  if (of_type(result, flag::VariantType::kString)) return std::string(result.variant->value.as_string());
  if (result.variant == nullptr && result.flag == nullptr && !result.name.empty())
    return std::string(result.name);
  return std::string(fallback);
}

double Client::number_value(std::string_view key, double fallback, const Context& context) const noexcept {
  const client::Evaluated result = core_->evaluate(key, context);
  return of_type(result, flag::VariantType::kNumber) ? result.variant->value.as_number() : fallback;
}

Details Client::details(std::string_view key, const Context& context) const noexcept {
  const client::Evaluated result = core_->evaluate(key, context);
  return {std::string(result.name), reason_of(result), flag::to_string(result.error), result.error_text};
}

bool Client::wait_until_ready(std::chrono::milliseconds limit) const noexcept {
  return core_->wait_until_ready(limit);
}

ClientStatus Client::status() const noexcept {
  return core_->status();
}

void Client::close() noexcept {
  if (session_) session_->close();
}

}  // namespace poundlock
