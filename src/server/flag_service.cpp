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
constexpr std::size_t kSelectedMax = 64;  // selections kept of one revision

std::uint64_t next_identity() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1);
}

Result<ViewPtr> make_view(const FlagParts& parts, const Overrides& overrides, flag::Revision revision,
                          const std::string& name, const Selector& selector = {}) {
  auto view = std::make_shared<FlagView>();
  std::vector<bj::object> list(1);
  for (auto& info : effective_flags(parts, overrides, selector))
    list[0][info.key] = std::move(info.definition);
  view->revision = revision;
  PL_TRY(view->document, flag::snapshot_document(list, revision));
  PL_TRY(view->snapshot, flag::Snapshot::compile(view->document, name));
  bj::object flags;
  for (const flag::CompiledFlag* flag : view->snapshot->flags()) flags[flag->key] = flag->source;
  view->flagd = json::dump(json::Object{{"flags", std::move(flags)}});
  return view;
}

// Rules that can never answer: what must not be published.
Result<std::vector<Error>> faults_of(const bj::object& flags, const std::string& name) {
  PL_TRY(const auto snapshot, flag::Snapshot::compile(json::dump(json::Object{{"flags", flags}}), name));
  return snapshot->problems();
}

Status check_sound(const bj::object& flags, const std::string& name) {
  PL_TRY(const auto faults, faults_of(flags, name));
  if (!faults.empty()) return fail(faults.front());
  return {};
}

// A fault that was there before is served as flagd serves it, but a new one never takes a good flag's place.
std::optional<Error> new_fault(const FlagParts::File& before, const FlagFile& now) {
  const auto faults = faults_of(*now.flags, now.path);
  if (!faults) return faults.error();
  if (faults->empty()) return std::nullopt;
  const auto old = faults_of(before.flags, before.path);
  for (const Error& fault : *faults) {
    const bool known = old && std::any_of(old->begin(), old->end(),
                                          [&](const Error& one) { return one.message == fault.message; });
    if (!known) return fault;
  }
  return std::nullopt;
}

// A file that is named twice, also as one of a folder's, counts in the later place.
void put(FlagParts& to, FlagParts::File file) {
  std::erase_if(to.files, [&](const FlagParts::File& one) { return one.path == file.path; });
  to.files.push_back(std::move(file));
}

// Whether the folder held files before.
bool keep_folder(const FlagParts& before, const FlagFile& folder, FlagParts& next) {
  bool any = false;
  for (const auto& file : before.files) {
    if (!is_in_folder(file.path, folder.path)) continue;
    put(next, {file.path, folder.uri, file.flags});
    any = true;
  }
  return any;
}

Status check_plain(const FlagParts& parts, std::string_view key) {
  for (const auto& [owner, flags] : parts.rollouts) {
    if (flags.contains(key)) {
      return fail(make_error(Disposition::kConflict, "flag.owned",
                             fmt::format("flag {} is steered by rollout {}", key, owner))
                      .with_hint(fmt::format(
                          "`poundlock rollback {}` turns it off; promote and pause steer it", owner)));
    }
  }
  return {};
}

Result<bj::object> as_object(bj::value value, std::string_view what) {
  if (!value.is_object())
    return fail(user_error("flag.document", fmt::format("{} is not a JSON object", what)));
  return std::move(value.as_object());
}

}  // namespace

struct FlagService::Published {
  struct Selected {
    std::mutex mutex;  // held while it is compiled, by whoever asks for it first
    ViewPtr view;
    std::uint64_t used = 0;  // under the other mutex
  };
  FlagParts parts;
  Overrides overrides;
  ViewPtr view;
  mutable std::mutex mutex;
  // By selector; the least recently used one makes room.
  mutable std::map<std::string, std::shared_ptr<Selected>> selected;
  mutable std::uint64_t asked = 0;
  const std::shared_ptr<Selected> nothing = std::make_shared<Selected>();  // of all that choose nothing
  mutable std::once_flag named;
  mutable SelectorNames names;
};

struct FlagService::Listeners {
  std::mutex mutex;  // held during a call, so that a listener that left is never called again
  std::map<std::uint64_t, Listener> by_id;
  std::uint64_t next = 1;
};

FlagService::FlagService(ports::StateStore& store, const Clock& clock)
    : store_(store), clock_(clock), identity_(next_identity()), listeners_(std::make_shared<Listeners>()) {}

Result<std::unique_ptr<FlagService>> FlagService::open(ports::StateStore& store, const Clock& clock) {
  std::unique_ptr<FlagService> out(new FlagService(store, clock));
  auto first = std::make_shared<Published>();
  PL_CHECK(out->read_stored(first->parts));
  PL_TRY(first->view, make_view(first->parts, {}, out->revision_, "the stored flag set"));
  out->published_ = std::move(first);
  out->started_ = {out->revision_, clock.steady()};
  return out;
}

FlagService::PublishedPtr FlagService::published() const {
  std::lock_guard lock(mutex_);
  return published_;
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
    old = std::exchange(cached.view, published_->view);
    cached.version = version_of_view_.load(std::memory_order_relaxed);
    cached.identity = identity_;
  }
  return cached.view;
}

Result<ViewPtr> FlagService::view(const Selector& selector) const {
  const auto now = published();
  if (selector.by == Selector::By::kAll) return now->view;
  const std::string name = fmt::format("{}={}", static_cast<int>(selector.by), selector.value);
  std::call_once(now->named, [&] { now->names = selector_names(now->parts); });
  static const FlagParts kNone;
  const FlagParts& parts = now->names.has(selector) ? now->parts : kNone;
  auto one = now->nothing;
  if (&parts != &kNone) {
    std::lock_guard lock(now->mutex);
    if (now->selected.size() >= kSelectedMax && !now->selected.contains(name))
      now->selected.erase(
          std::min_element(now->selected.begin(), now->selected.end(),
                           [](const auto& a, const auto& b) { return a.second->used < b.second->used; }));
    auto& found = now->selected[name];
    if (!found) found = std::make_shared<Published::Selected>();
    found->used = ++now->asked;
    one = found;
  }
  std::lock_guard lock(one->mutex);
  if (!one->view) {
    PL_TRY(one->view,
           make_view(parts, now->overrides, now->view->revision, "a part of the flag set", selector));
  }
  return one->view;
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

void FlagService::adopt(PublishedPtr next) {
  const ViewPtr before = published_->view, now = next->view;
  const auto changed = changed_flags(*before, *now);
  {
    std::lock_guard lock(mutex_);
    published_.swap(next);  // the old one is freed after the lock
    version_of_view_.fetch_add(1, std::memory_order_release);
    for (const auto& change : changed) {
      if (now->snapshot->find(change.key))
        changes_[change.key] = {now->revision, clock_.steady()};
      else
        changes_.erase(change.key);
    }
  }
  std::lock_guard lock(listeners_->mutex);
  for (const auto& [id, listener] : listeners_->by_id) listener(before, now);
}

Status FlagService::read_stored(FlagParts& parts) {
  PL_TRY(const auto stored, store_.get(kStoreKey));
  if (!stored) {
    revision_ = {static_cast<std::uint64_t>(clock_.now().ms), 1};
    return {};
  }
  PL_CHECK(from_json(stored->value, parts, revision_));
  version_ = stored->version;
  PL_CHECK(read_older_form(parts));
  return begin_epoch(parts);
}

// Stores from before files had parts of their own hold what the one file said beside it.
Status FlagService::read_older_form(FlagParts& parts) {
  PL_TRY(const auto stored, store_.get(kFileKey));
  if (!stored || !parts.files.empty()) return {};
  PL_TRY(auto value, json::parse(stored->value, stored->key, json::kOwnLimits));
  FlagParts::File file;
  PL_TRY(file.flags, as_object(std::move(value), "the stored flag file"));
  for (const auto& [key, definition] : file.flags) {
    const auto* by_hand = parts.by_hand.if_contains(key);
    if (by_hand && *by_hand == definition) parts.by_hand.erase(key);
  }
  if (!file.flags.empty()) parts.files.push_back(std::move(file));
  return {};
}

// Each start is an epoch of its own. The store may be a copy of an earlier day: readers have seen greater
// numbers than it knows, and would refuse every snapshot that it gives, a kill's as well.
Status FlagService::begin_epoch(const FlagParts& parts) {
  revision_.epoch = std::max(revision_.epoch + 1, static_cast<std::uint64_t>(clock_.now().ms));
  PL_CHECK(store_.commit({{std::string(kStoreKey), to_json(parts, revision_), version_}}, {}));
  ++version_;
  return {};
}

Result<flag::Revision> FlagService::replace(FlagParts parts, Overrides overrides, ports::AuditEntry audit) {
  if (parts == published_->parts && overrides == published_->overrides) return revision_;
  const flag::Revision next{revision_.epoch, revision_.number + 1};
  auto out = std::make_shared<Published>();
  PL_TRY(out->view, make_view(parts, overrides, next, audit.subject));
  out->parts = std::move(parts);
  out->overrides = std::move(overrides);
  audit.at = clock_.now();
  audit.details = fmt::format(R"({{"epoch":{},"revision":{}}})", next.epoch, next.number);
  PL_CHECK(store_.commit({{std::string(kStoreKey), to_json(out->parts, next), version_}}, {audit}));
  version_ += 1;
  revision_ = next;
  adopt(std::move(out));
  return next;
}

Result<flag::Revision> FlagService::publish(std::string_view rollout, std::string_view flags_json) {
  PL_TRY(auto value, json::parse(flags_json, fmt::format("flags of {}", rollout)));
  PL_TRY(auto flags, as_object(std::move(value), "a rollout's flags"));
  PL_CHECK(check_sound(flags, std::string(rollout)));
  std::lock_guard lock(writer_);
  for (const auto& [owner, theirs] : published_->parts.rollouts) {
    for (const auto& [key, definition] : flags)
      if (owner != rollout && theirs.contains(key))
        return fail(make_error(
            Disposition::kConflict, "flag.taken",
            fmt::format("the flag key {} is taken by the rollout {}", std::string_view(key), owner)));
  }
  auto parts = published_->parts;
  parts.rollouts[std::string(rollout)] = std::move(flags);
  ports::AuditEntry audit;
  audit.who = "controller";
  audit.what = "publish";
  audit.subject = std::string(rollout);
  audit.why = "the rollout's flag changed";
  return replace(std::move(parts), published_->overrides, std::move(audit));
}

Result<flag::Revision> FlagService::set(std::string_view key, const bj::object& definition,
                                        std::string_view who, std::string_view why) {
  return change(
      key, [&](const auto&) -> Result<bj::object> { return definition; }, who, why);
}

Result<flag::Revision> FlagService::change(std::string_view key, const Edit& edit, std::string_view who,
                                           std::string_view why) {
  std::lock_guard lock(writer_);
  PL_TRY(const bj::object definition, edit(effective_flag(published_->parts, published_->overrides, key)));
  PL_CHECK(check_sound({{key, definition}}, std::string(key)));
  PL_CHECK(check_plain(published_->parts, key));
  auto parts = published_->parts;
  parts.by_hand[key] = definition;
  ports::AuditEntry audit;
  audit.who = std::string(who);
  audit.what = "flag_set";
  audit.subject = std::string(key);
  audit.why = std::string(why);
  return replace(std::move(parts), published_->overrides, std::move(audit));
}

Result<flag::Revision> FlagService::erase(std::string_view key, std::string_view who, std::string_view why) {
  std::lock_guard lock(writer_);
  auto parts = published_->parts;
  PL_CHECK(check_plain(parts, key));
  for (const auto& file : parts.files) {
    if (file.flags.contains(key))
      return fail(make_error(Disposition::kConflict, "flag.in_file",
                             fmt::format("flag {} is defined by {}", key, file.path))
                      .with_hint(parts.by_hand.contains(key)
                                     ? fmt::format("`poundlock flag reset {}` lets the file count again", key)
                                     : "take it out of that file first"));
  }
  if (parts.by_hand.erase(key) == 0)
    return fail(user_error("flag.unknown", fmt::format("there is no flag {}", key))
                    .with_hint("`poundlock flag list` shows them"));
  parts.vanished.erase(key);
  ports::AuditEntry audit;
  audit.who = std::string(who);
  audit.what = "flag_deleted";
  audit.subject = std::string(key);
  audit.why = std::string(why);
  return replace(std::move(parts), published_->overrides, std::move(audit));
}

Result<flag::Revision> FlagService::reset(std::string_view key, std::string_view who, std::string_view why) {
  std::lock_guard lock(writer_);
  auto parts = published_->parts;
  PL_CHECK(check_plain(parts, key));
  const bool in_file = std::any_of(parts.files.begin(), parts.files.end(),
                                   [&](const auto& file) { return file.flags.contains(key); });
  const bool by_hand = parts.by_hand.erase(key) > 0;
  if (!in_file && !by_hand)
    return fail(user_error("flag.unknown", fmt::format("there is no flag {}", key))
                    .with_hint("`poundlock flag list` shows them"));
  if (!by_hand)
    return fail(make_error(Disposition::kConflict, "flag.not_by_hand",
                           fmt::format("flag {} is as its file says already", key)));
  if (!in_file)
    return fail(make_error(Disposition::kConflict, "flag.not_in_file",
                           fmt::format("no file defines flag {}: nothing would be left of it", key))
                    .with_hint(fmt::format("`poundlock flag delete {}` takes it away", key)));
  parts.vanished.erase(key);
  ports::AuditEntry audit;
  audit.who = std::string(who);
  audit.what = "flag_reset";
  audit.subject = std::string(key);
  audit.why = std::string(why);
  return replace(std::move(parts), published_->overrides, std::move(audit));
}

Status FlagService::check_free(std::string_view key, std::string_view rollout) const {
  const auto stage = fmt::format("{}{}", key, flag::kStageSuffix);
  for (const auto& taken : list()) {
    if (taken.owner == rollout || (taken.key != key && taken.key != stage)) continue;
    return fail(
        user_error("flag.taken",
                   fmt::format("the flag key {} is taken by {}", taken.key,
                               taken.owner.empty() ? "a plain flag" : "the rollout " + taken.owner))
            .with_hint("give the rollout a key of its own; `poundlock flag list` shows those in use"));
  }
  return {};
}

Result<FlagFilesLoaded> FlagService::load_files(std::vector<FlagFile> files) {
  FlagFilesLoaded out;
  std::lock_guard lock(writer_);
  const FlagParts& last = published_->parts;
  FlagParts next = last;
  next.files.clear();
  for (auto& file : files) {
    const auto* before = last.find_file(file.path);
    if (before && file.flags) {
      if (auto fault = new_fault(*before, file)) {
        fault->message = fmt::format("{}: {}", file.path, fault->message);
        out.refused.emplace(file.path, std::move(*fault));
        file.flags.reset();
      }
    }
    if (file.flags)
      put(next, {file.path, file.uri, std::move(*file.flags)});
    else if (before)
      put(next, {file.path, file.uri, before->flags});
    else if (!keep_folder(last, file, next) && !file.is_empty)
      out.missing.push_back(file.path);
  }
  keep_orders(last, next);
  ports::AuditEntry audit;
  audit.who = "file";
  audit.what = "flags_loaded";
  audit.subject = "flags";
  audit.why = "the flag files changed";
  PL_TRY(out.revision, replace(std::move(next), published_->overrides, std::move(audit)));
  out.shadowed = shadowed_flags(published_->parts);
  return out;
}

Result<flag::Revision> FlagService::set_overrides(Overrides overrides) {
  std::lock_guard lock(writer_);
  ports::AuditEntry audit;
  audit.who = "file";
  audit.what = "flags_overridden";
  audit.subject = "flags";
  audit.why = "the override file changed";
  return replace(published_->parts, std::move(overrides), std::move(audit));
}

bool FlagService::holds_files() const {
  return !published()->parts.files.empty();
}

std::vector<FlagInfo> FlagService::list() const {
  const auto now = published();
  return effective_flags(now->parts, now->overrides);
}

std::optional<FlagInfo> FlagService::find(std::string_view key) const {
  const auto now = published();
  return effective_flag(now->parts, now->overrides, key);
}

std::vector<std::string> FlagService::unheeded_overrides() const {
  const auto now = published();
  return server::unheeded_overrides(now->parts, now->overrides);
}

std::vector<Shadowed> FlagService::shadowed() const {
  return shadowed_flags(published()->parts);
}

std::optional<FlagService::Change> FlagService::last_change(std::string_view key) const {
  std::lock_guard lock(mutex_);
  if (!published_->view->snapshot->find(key)) return std::nullopt;
  const auto found = changes_.find(key);
  return found == changes_.end() ? started_ : found->second;
}

}  // namespace poundlock::server
