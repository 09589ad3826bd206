#include "server/flag_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "flag/rollout_flag.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;
constexpr std::string_view kStoreKey = "flags/published";
constexpr std::string_view kFileKey = "flags/file";
constexpr std::string_view kPlain = "";

Result<std::string> render(const std::map<std::string, bj::object>& parts, flag::Revision revision) {
  std::vector<bj::object> list;
  for (const auto& [owner, flags] : parts) list.push_back(flags);
  return flag::snapshot_document(list, revision);
}

std::string stored_form(const std::map<std::string, bj::object>& parts, flag::Revision revision) {
  bj::object all;
  for (const auto& [owner, flags] : parts) all[owner] = flags;
  return json::dump(
      json::Object{{"epoch", revision.epoch}, {"revision", revision.number}, {"parts", std::move(all)}});
}

Result<bj::object> as_object(bj::value value, std::string_view what) {
  if (!value.is_object())
    return fail(user_error("flag.document", fmt::format("{} is not a JSON object", what)));
  return std::move(value.as_object());
}

}  // namespace

Result<std::unique_ptr<FlagService>> FlagService::open(ports::StateStore& store, const Clock& clock,
                                                       Deliver deliver) {
  std::unique_ptr<FlagService> out(new FlagService(store, clock, std::move(deliver)));
  PL_CHECK(out->read_stored());
  PL_TRY(out->document_, render(out->parts_, out->revision_));
  PL_TRY(out->snapshot_, flag::Snapshot::compile(out->document_, "the stored flag set"));
  out->deliver();
  return out;
}

Status FlagService::read_stored() {
  PL_TRY(const auto file, store_.get(kFileKey));
  if (file) {
    PL_TRY(auto value, json::parse(file->value, file->key, json::kOwnLimits));
    PL_TRY(file_, as_object(std::move(value), "the stored flag file"));
    file_version_ = file->version;
  }
  PL_TRY(const auto stored, store_.get(kStoreKey));
  if (!stored) {
    revision_ = {static_cast<std::uint64_t>(clock_.now().ms), 1};
    return {};
  }
  PL_TRY(const auto value, json::parse(stored->value, stored->key, json::kOwnLimits));
  PL_TRY(const auto object, as_object(value, "the stored flag set"));
  const auto* parts = object.if_contains("parts");
  const auto* epoch = object.if_contains("epoch");
  const auto* number = object.if_contains("revision");
  if (!parts || !parts->is_object() || !epoch || !number)
    return fail(internal_error("the stored flag set is damaged"));
  for (const auto& [owner, flags] : parts->as_object()) {
    PL_TRY(parts_[std::string(owner)], as_object(flags, "a stored part"));
  }
  boost::system::error_code bad_epoch, bad_number;
  revision_ = {epoch->to_number<std::uint64_t>(bad_epoch), number->to_number<std::uint64_t>(bad_number)};
  if (bad_epoch || bad_number) return fail(internal_error("the stored flag set is damaged"));
  version_ = stored->version;
  return begin_epoch();
}

// Each start is an epoch of its own. The store may be a copy of an earlier day: readers have seen greater
// numbers than it knows, and would refuse every snapshot that it gives, a kill's as well.
Status FlagService::begin_epoch() {
  revision_.epoch = std::max(revision_.epoch + 1, static_cast<std::uint64_t>(clock_.now().ms));
  PL_CHECK(store_.commit({{std::string(kStoreKey), stored_form(parts_, revision_), version_}}, {}));
  ++version_;
  return {};
}

void FlagService::deliver() const {
  if (deliver_) deliver_(revision_, document_);
}

Result<flag::Revision> FlagService::replace(std::map<std::string, bj::object> parts, ports::AuditEntry audit,
                                            std::vector<ports::Write> beside) {
  if (parts == parts_) {
    if (!beside.empty()) PL_CHECK(store_.commit(beside, {}));
    return revision_;
  }
  const flag::Revision next{revision_.epoch, revision_.number + 1};
  PL_TRY(auto document, render(parts, next));
  PL_TRY(auto snapshot, flag::Snapshot::compile(document, audit.subject));
  if (!snapshot->problems().empty()) return fail(snapshot->problems().front());
  audit.at = clock_.now();
  audit.details = fmt::format(R"({{"epoch":{},"revision":{}}})", next.epoch, next.number);
  beside.push_back({std::string(kStoreKey), stored_form(parts, next), version_});
  PL_CHECK(store_.commit(beside, {audit}));
  version_ += 1;
  revision_ = next;
  parts_ = std::move(parts);
  document_ = std::move(document);
  snapshot_ = std::move(snapshot);
  deliver();
  return revision_;
}

Result<flag::Revision> FlagService::publish(std::string_view rollout, std::string_view flags_json) {
  PL_TRY(auto value, json::parse(flags_json, fmt::format("flags of {}", rollout)));
  PL_TRY(auto flags, as_object(std::move(value), "a rollout's flags"));
  std::lock_guard lock(mutex_);
  auto parts = parts_;
  parts[std::string(rollout)] = std::move(flags);
  ports::AuditEntry audit;
  audit.who = "controller";
  audit.what = "publish";
  audit.subject = std::string(rollout);
  audit.why = "the rollout's flag changed";
  return replace(std::move(parts), std::move(audit));
}

Result<flag::Revision> FlagService::set(std::string_view key, const bj::object& definition,
                                        std::string_view who, std::string_view why) {
  std::lock_guard lock(mutex_);
  for (const auto& [owner, flags] : parts_) {
    if (owner != kPlain && flags.contains(key)) {
      return fail(make_error(Disposition::kConflict, "flag.owned",
                             fmt::format("flag {} is steered by rollout {}", key, owner))
                      .with_hint(fmt::format(
                          "`poundlock rollback {}` turns it off; promote and pause steer it", owner)));
    }
  }
  auto parts = parts_;
  parts[std::string(kPlain)][key] = definition;
  ports::AuditEntry audit;
  audit.who = std::string(who);
  audit.what = "flag_set";
  audit.subject = std::string(key);
  audit.why = std::string(why);
  return replace(std::move(parts), std::move(audit));
}

Result<flag::Revision> FlagService::load_file(const bj::object& flags) {
  std::lock_guard lock(mutex_);
  if (flags == file_) return revision_;
  auto parts = parts_;
  bj::object& plain = parts[std::string(kPlain)];
  for (const auto& [key, definition] : flags) {
    const auto* before = file_.if_contains(key);
    if (!before || *before != definition) plain[key] = definition;
  }
  for (const auto& [key, definition] : file_)
    if (!flags.contains(key)) plain.erase(key);
  if (plain.empty()) parts.erase(std::string(kPlain));
  ports::AuditEntry audit;
  audit.who = "file";
  audit.what = "flags_loaded";
  audit.subject = "flags";
  audit.why = "the flag file changed";
  PL_TRY(const auto revision, replace(std::move(parts), std::move(audit),
                                      {{std::string(kFileKey), json::dump(flags), file_version_}}));
  file_ = flags;
  file_version_ += 1;
  return revision;
}

std::vector<FlagInfo> FlagService::list() const {
  std::lock_guard lock(mutex_);
  std::vector<FlagInfo> out;
  for (const auto& [owner, flags] : parts_) {
    for (const auto& [key, definition] : flags) {
      if (definition.is_object()) out.push_back({std::string(key), owner, definition.as_object()});
    }
  }
  return out;
}

std::shared_ptr<const flag::Snapshot> FlagService::snapshot() const {
  std::lock_guard lock(mutex_);
  return snapshot_;
}

std::string FlagService::document() const {
  std::lock_guard lock(mutex_);
  return document_;
}

flag::Revision FlagService::revision() const {
  std::lock_guard lock(mutex_);
  return revision_;
}

}  // namespace poundlock::server
