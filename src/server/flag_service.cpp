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
constexpr std::size_t kSelectedMax = 64;  // selections kept of one revision

std::uint64_t next_identity() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1);
}

Result<ViewPtr> make_view(const std::map<std::string, bj::object>& parts, flag::Revision revision,
                          const std::string& name) {
  auto view = std::make_shared<FlagView>();
  std::vector<bj::object> list;
  for (const auto& [owner, flags] : parts) list.push_back(flags);
  view->revision = revision;
  PL_TRY(view->document, flag::snapshot_document(list, revision));
  PL_TRY(view->snapshot, flag::Snapshot::compile(view->document, name));
  bj::object flags;
  for (const flag::CompiledFlag* flag : view->snapshot->flags()) flags[flag->key] = flag->source;
  view->flagd = json::dump(json::Object{{"flags", std::move(flags)}});
  return view;
}

// A plain flag bears its set and its file in its metadata; of a rollout the name is the source.
bool is_selected(const Selector& selector, std::string_view owner, const bj::value& definition) {
  if (selector.by == Selector::By::kSource && !owner.empty()) return owner == selector.value;
  const auto* metadata = definition.is_object() ? definition.as_object().if_contains("metadata") : nullptr;
  if (!metadata || !metadata->is_object()) return false;
  const auto* name = metadata->as_object().if_contains(
      selector.by == Selector::By::kFlagSet ? "flagSetId" : "source");
  return name && name->is_string() && name->as_string() == selector.value;
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

struct FlagService::Listeners {
  std::mutex mutex;  // held during a call, so that a listener that left is never called again
  std::map<std::uint64_t, Listener> by_id;
  std::uint64_t next = 1;
};

FlagService::FlagService(ports::StateStore& store, const Clock& clock)
    : store_(store), clock_(clock), identity_(next_identity()), listeners_(std::make_shared<Listeners>()) {}

Result<std::unique_ptr<FlagService>> FlagService::open(ports::StateStore& store, const Clock& clock) {
  std::unique_ptr<FlagService> out(new FlagService(store, clock));
  PL_CHECK(out->read_stored());
  PL_TRY(out->view_, make_view(out->parts_, out->revision_, "the stored flag set"));
  return out;
}

const ViewPtr& FlagService::view() const {
  struct Cached {
    std::uint64_t identity = 0;
    std::uint64_t version = 0;
    ViewPtr view;
  };
  thread_local Cached cached;
  // libstdc++ 12 takes a lock in atomic<shared_ptr>; a number that moves costs one load.
  const std::uint64_t version = version_of_view_.load(std::memory_order_acquire);
  if (cached.version != version || cached.identity != identity_) {
    ViewPtr old;  // freed after the lock: a snapshot may be large
    std::lock_guard lock(mutex_);
    old = std::exchange(cached.view, view_);
    cached.version = version_of_view_.load(std::memory_order_relaxed);
    cached.identity = identity_;
  }
  return cached.view;
}

Result<ViewPtr> FlagService::view(const Selector& selector) const {
  std::lock_guard lock(mutex_);
  if (selector.by == Selector::By::kAll) return view_;
  const std::string name = fmt::format("{}={}", static_cast<int>(selector.by), selector.value);
  if (const auto found = selected_.find(name); found != selected_.end()) return found->second;
  Parts chosen;
  for (const auto& [owner, flags] : parts_) {
    for (const auto& [key, definition] : flags)
      if (is_selected(selector, owner, definition)) chosen[owner][key] = definition;
  }
  PL_TRY(auto view, make_view(chosen, revision_, "a part of the flag set"));
  if (selected_.size() >= kSelectedMax) selected_.clear();
  return selected_[name] = std::move(view);
}

std::shared_ptr<void> FlagService::listen(Listener listener) {
  const auto all = listeners_;
  std::lock_guard lock(all->mutex);
  const std::uint64_t id = all->next++;
  all->by_id.emplace(id, std::move(listener));
  return {nullptr, [all, id](void*) {
            std::lock_guard leaving(all->mutex);
            all->by_id.erase(id);
          }};
}

void FlagService::adopt(ViewPtr next) {
  const ViewPtr before = std::exchange(view_, std::move(next));
  selected_.clear();
  version_of_view_.fetch_add(1, std::memory_order_release);
  std::lock_guard lock(listeners_->mutex);
  for (const auto& [id, listener] : listeners_->by_id) listener(before, view_);
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

Result<flag::Revision> FlagService::replace(Parts parts, ports::AuditEntry audit,
                                            std::vector<ports::Write> beside) {
  if (parts == parts_) {
    if (!beside.empty()) PL_CHECK(store_.commit(beside, {}));
    return revision_;
  }
  const flag::Revision next{revision_.epoch, revision_.number + 1};
  PL_TRY(auto view, make_view(parts, next, audit.subject));
  if (!view->snapshot->problems().empty()) return fail(view->snapshot->problems().front());
  audit.at = clock_.now();
  audit.details = fmt::format(R"({{"epoch":{},"revision":{}}})", next.epoch, next.number);
  beside.push_back({std::string(kStoreKey), stored_form(parts, next), version_});
  PL_CHECK(store_.commit(beside, {audit}));
  version_ += 1;
  revision_ = next;
  parts_ = std::move(parts);
  adopt(std::move(view));
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

}  // namespace poundlock::server
