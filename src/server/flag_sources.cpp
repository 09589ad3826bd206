#include "server/flag_sources.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "flag/definition.h"

namespace poundlock::server {
namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kRacyNs = 2'000'000'000;

bool is_flag_file(const fs::path& path) {
  const std::string name = path.filename().string(), ending = path.extension().string();
  return !name.starts_with('.') && (ending == ".json" || ending == ".yaml" || ending == ".yml");
}

std::int64_t in_ns(const timespec& at) {
  return at.tv_sec * 1'000'000'000 + at.tv_nsec;
}

}  // namespace

bool FlagSources::Reading::operator==(const Reading& other) const {
  if (path != other.path || uri != other.uri || is_empty != other.is_empty) return false;
  return text == other.text || (text && other.text && *text == *other.text);
}

FlagSources::FlagSources(std::vector<FlagSource> sources, std::string override_file, FlagService& flags,
                         const Clock& clock)
    : sources_(std::move(sources)),
      flags_(flags),
      clock_(clock),
      override_path_(override_file),
      override_file_(std::move(override_file)) {}

void FlagSources::reload() {
  read_overrides();
  if (!sources_.empty() || !taken_) {
    auto now = look();  // without a source nothing: flags of those that an earlier server had go
    if (now != taken_) take(std::move(now));
  }
  tell_unheeded();
}

void FlagSources::poll() {
  read_overrides();
  if (!sources_.empty() || !taken_) poll_files();
  tell_unheeded();
}

void FlagSources::poll_files() {
  auto now = look();
  if (now == taken_) {
    pending_.reset();
  } else if (now == pending_) {
    take(std::move(now));
  } else {
    pending_ = std::move(now);
  }
}

std::vector<FlagSources::Reading> FlagSources::look() {
  std::vector<Reading> out;
  for (const auto& source : sources_) {
    struct stat info {};
    if (::stat(source.path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
      look_at(source.path, source, out);
      continue;
    }
    std::error_code error;
    std::vector<std::string> files;
    for (fs::directory_iterator at(source.path, error), end; !error && at != end; at.increment(error))
      if (is_flag_file(at->path())) files.push_back(at->path().string());
    std::sort(files.begin(), files.end());
    const std::pair<std::uint64_t, std::uint64_t> identity{info.st_dev, info.st_ino};
    if (!error && !files.empty()) folders_[source.path] = identity;
    // A folder that cannot be read has lost no flags. Neither has an empty one that was not seen with files
    // before: a mount that is late, or gone, leaves its empty mount point.
    const auto known = folders_.find(source.path);
    const bool emptied = known != folders_.end() && known->second == identity;
    if (error || (files.empty() && !emptied))
      out.push_back({source.path, source.uri.empty() ? source.path : source.uri, nullptr, !error});
    else
      for (const auto& path : files) look_at(path, source, out);
  }
  // Contents of files that are gone are not kept.
  for (auto at = seen_.begin(); at != seen_.end();)
    at = std::exchange(at->second.asked, false) ? std::next(at) : seen_.erase(at);
  return out;
}

void FlagSources::look_at(const std::string& path, const FlagSource& source, std::vector<Reading>& out) {
  if (out.size() >= kFilesMax) {
    if (told_.insert("files").second) spdlog::error("only the first {} flag files are read", kFilesMax);
    return;
  }
  const auto same =
      std::find_if(out.begin(), out.end(), [&](const Reading& one) { return one.path == path; });
  if (same != out.end()) out.erase(same);  // named twice: the later place counts
  out.push_back({path, source.uri.empty() ? source.path : source.uri, read(path)});
}

FlagSources::Text FlagSources::read(const std::string& path) {
  Seen& seen = seen_[path];
  seen.asked = true;
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    seen = {{}, nullptr, true};
    return nullptr;
  }
  const Stamp stamp{info.st_dev, info.st_ino, info.st_size, in_ns(info.st_mtim), in_ns(info.st_ctim)};
  // Two changes within one tick of the file system's clock have one time: a young file is read each time.
  const bool young = clock_.now().ms * 1'000'000 - std::max(stamp.changed_ns, stamp.status_ns) < kRacyNs;
  if (stamp == seen.stamp && seen.text && !young) return seen.text;
  std::ifstream in(path, std::ios::binary);
  std::string text(flag::Limits{}.bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  seen.stamp = stamp;
  if (!in.is_open() || in.bad())
    seen.text = nullptr;
  else if (!seen.text || *seen.text != text)
    seen.text = std::make_shared<const std::string>(std::move(text));
  return seen.text;
}

void FlagSources::take(std::vector<Reading> now) {
  std::vector<FlagFile> files;
  files.reserve(now.size());
  for (const auto& one : now) files.push_back({one.path, one.uri, parse(one), one.is_empty});
  std::erase_if(parsed_, [&](const auto& known) {
    return std::none_of(now.begin(), now.end(), [&](const Reading& one) { return one.path == known.first; });
  });
  std::map<std::string, std::string> refused;
  for (const auto& one : now)
    if (const auto& trouble = parsed_[one.path].trouble; !trouble.empty()) refused[one.path] = trouble;
  const auto before = flags_.view()->revision;
  const auto loaded = flags_.load_files(std::move(files));
  const std::string trouble = loaded ? "" : loaded.error().to_string();
  // The same contents are wrong the next time, too; a store that was busy is asked again.
  if (loaded || loaded.error().disposition == Disposition::kUser) taken_ = std::move(now);
  pending_.reset();
  if (loaded) {
    for (const auto& [path, error] : loaded->refused) refused[path] = error.to_string();
    remember(refused);
    tell(*loaded);
    if (loaded->revision != before)
      spdlog::info("flags loaded, {} in all", flags_.view()->snapshot->flags().size());
  } else if (trouble != trouble_) {
    spdlog::error("flags not reloaded: {}", trouble);
    if (!flags_.holds_files()) miss_all();
  }
  if (!loaded && loaded.error().disposition == Disposition::kUser) {
    for (const auto& source : sources_) refused.emplace(source.path, trouble);  // together, whichever it is
    remember(refused);
  }
  trouble_ = trouble;
}

// nullopt: its last good flags stay. What is at fault is logged once for each content.
const std::optional<boost::json::object>& FlagSources::parse(const Reading& reading) {
  Parsed& known = parsed_[reading.path];
  if (known.text && known.text == reading.text) return known.flags;
  const bool was_there = known.text != nullptr;
  known = {reading.text, std::nullopt, {}};
  if (reading.is_empty) {
    if (told_.insert("empty " + reading.path).second)
      spdlog::warn("{} holds no flag file; flags that it held before stay until it holds one", reading.path);
    return known.flags;
  }
  if (!reading.text) {
    known.trouble = reading.path + " cannot be read";
    if (was_there || told_.insert("no " + reading.path).second)
      spdlog::error("{} cannot be read; its last good flags stay", reading.path);
    return known.flags;
  }
  auto definition = flag::parse_definition(*reading.text, reading.path);
  if (!definition) {
    known.trouble = definition.error().to_string();
    spdlog::error("{}; the last good flags of {} stay", definition.error().to_string(), reading.path);
    return known.flags;
  }
  for (const auto& problem : definition->problems) spdlog::error("{}", problem.to_string());
  for (const auto& warning : definition->warnings) spdlog::warn("{}", warning);
  if (definition->problems.empty() || definition->only_rules_at_fault()) {
    known.flags = std::move(definition->flags);
  } else {
    known.trouble = definition->problems.front().to_string();
    if (const auto more = definition->problems.size() - 1; more > 0)
      known.trouble += fmt::format(" (and {} more)", more);
    spdlog::error("the last good flags of {} stay", reading.path);
  }
  return known.flags;
}

// Together they were refused, and there are no last good flags: a server that answers every flag with its
// absence must not be called ready.
void FlagSources::miss_all() {
  std::lock_guard lock(mutex_);
  missing_.clear();
  for (const auto& source : sources_) missing_.push_back(source.path);
}

// All but the override file's, which is read apart.
void FlagSources::remember(const std::map<std::string, std::string>& refused) {
  std::lock_guard lock(mutex_);
  std::erase_if(refused_,
                [&](const auto& one) { return one.first != override_path_ && !refused.contains(one.first); });
  for (const auto& [path, why] : refused)
    refused_.try_emplace(path, RefusedFile{path, "", clock_.now()}).first->second.why = why;
}

void FlagSources::remember_overrides(std::string trouble) {
  std::lock_guard lock(mutex_);
  if (trouble.empty())
    refused_.erase(override_path_);
  else
    refused_.try_emplace(override_path_, RefusedFile{override_path_, "", clock_.now()}).first->second.why =
        std::move(trouble);
}

std::vector<RefusedFile> FlagSources::refused() const {
  std::lock_guard lock(mutex_);
  std::vector<RefusedFile> out;
  for (const auto& [path, one] : refused_) out.push_back(one);
  return out;
}

std::vector<std::string> FlagSources::missing() const {
  std::lock_guard lock(mutex_);
  return missing_;
}

void FlagSources::tell(const FlagFilesLoaded& loaded) {
  {
    std::lock_guard lock(mutex_);
    missing_ = loaded.missing;
  }
  std::set<std::string> now;
  for (const auto& [path, error] : loaded.refused)
    now.insert(fmt::format("{}; its last good flags stay", error.to_string()));
  for (const auto& one : loaded.shadowed) now.insert(one.to_string());
  for (const auto& line : now)
    if (!told_.contains(line)) spdlog::warn("{}", line);
  told_ = std::move(now);
}

void FlagSources::read_overrides() {
  const auto changed = override_file_.poll();
  if (!changed) {
    spdlog::error("override file: {}", changed.error().to_string());
    remember_overrides(override_file_.trouble());
    return;
  }
  if (*changed) overrides_refused_.clear();
  remember_overrides(override_file_.trouble().empty() ? overrides_refused_ : override_file_.trouble());
  if (*changed) overrides_wanted_ = true;
  if (!overrides_wanted_) return;
  const auto set = flags_.set_overrides(override_file_.overrides());
  if (!set && set.error().disposition != Disposition::kUser) return;  // the store was busy: asked again
  overrides_wanted_ = false;
  if (!set) {
    spdlog::error("override file: {}", set.error().to_string());
    overrides_refused_ = set.error().to_string();
    remember_overrides(overrides_refused_);
    return;
  }
  spdlog::warn("{} flags are overridden by the override file", override_file_.overrides().size());
}

// After the files, whose flags the overrides may name. Once for as long as it is so.
void FlagSources::tell_unheeded() {
  const auto revision = flags_.view()->revision;
  if (revision == told_at_) return;
  told_at_ = revision;
  const auto lines = flags_.unheeded_overrides();
  std::set<std::string> now(lines.begin(), lines.end());
  for (const auto& line : now)
    if (!told_unheeded_.contains(line)) spdlog::warn("override file: {}", line);
  told_unheeded_ = std::move(now);
}

}  // namespace poundlock::server
