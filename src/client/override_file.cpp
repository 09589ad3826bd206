#include "client/override_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/json.h"
#include "client/disk_cache.h"

namespace poundlock::client {

namespace {
constexpr std::size_t kBytesMax = 64 << 10;
constexpr std::size_t kFlagsMax = 1'000;
}  // namespace

Result<Overrides> parse_overrides(std::string_view text, const std::string& file) {
  if (text.size() > kBytesMax)
    return fail(user_error("client.override", fmt::format("{} is larger than {} bytes", file, kBytesMax)));
  PL_TRY(json::Value value, json::parse(text, file));
  PL_TRY(const json::Object* document, json::as_object(value, "an override file"));
  PL_TRY(const json::Object* flags, json::get_object(*document, "flags"));
  if (flags->size() > kFlagsMax)
    return fail(user_error("client.override", file + " names more than 1000 flags"));
  Overrides overrides;
  for (const auto& entry : *flags) {
    std::string variant;
    if (entry.value().is_string()) {
      variant = std::string(entry.value().get_string());
    } else if (entry.value().is_bool()) {
      variant = entry.value().get_bool() ? "on" : "off";
    } else if (entry.value().is_number()) {
      variant = json::dump(entry.value());
    } else {
      return fail(user_error("client.override",
                             fmt::format("{}: the variant of '{}' is {}, expected text", file,
                                         std::string_view(entry.key()), json::kind_of(entry.value()))));
    }
    overrides.emplace(std::string(entry.key()), std::move(variant));
  }
  return overrides;
}

std::optional<bool> value_of(std::string_view word) {
  if (word == "on" || word == "true") return true;
  if (word == "off" || word == "false") return false;
  return std::nullopt;
}

std::string_view variant_of(const json::Object& variants, std::string_view word) {
  const auto named = variants.find(word);
  const auto wanted = value_of(word);
  const auto has_it = [&](const auto& one) { return one.value().is_bool() && one.value() == *wanted; };
  if (named != variants.end() && (!wanted || !named->value().is_bool() || has_it(*named)))
    return named->key();
  for (const auto& one : variants)
    if (wanted && has_it(one)) return one.key();
  return {};
}

OverrideFile::Stamp OverrideFile::stamp() const {
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0) return {};
  return {true, info.st_ino, info.st_size, info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

Result<Overrides> OverrideFile::read() const {
  PL_TRY(const std::optional<std::string> text, read_bounded(path_, kBytesMax));
  if (!text) return Overrides{};
  return parse_overrides(*text, path_);
}

Result<bool> OverrideFile::poll() {
  if (path_.empty()) return false;
  const Stamp now = stamp();
  if (now == seen_) return false;
  seen_ = now;
  auto next = read();
  trouble_ = next ? "" : next.error().to_string();
  if (!next) return fail(std::move(next).error());
  if (*next == overrides_) return false;
  overrides_ = std::move(*next);
  return true;
}

}  // namespace poundlock::client
