#include "client/disk_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace poundlock::client {

namespace {

constexpr std::size_t kHeaderMax = 128;

// FNV-1a, 64 bits (Fowler, Noll, Vo): against torn and damaged files, not against an attacker.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t hash = 14'695'981'039'346'656'037ULL;
  for (char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1'099'511'628'211ULL;
  return hash;
}

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

Error file_error(const std::string& path, const char* what) {
  return make_error(Disposition::kRetry, "client.cache",
                    fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Status write_cache(const std::string& path, std::string_view document, flag::Revision revision) {
  static std::atomic<unsigned> counter{0};
  const std::string beside = fmt::format("{}.{}.{}.tmp", path, ::getpid(), counter++);
  const std::string header = fmt::format("poundlock-snapshot 1 {} {} {} {:016x}\n", revision.epoch,
                                         revision.number, document.size(), checksum(document));
  bool written = false;
  {
    File file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (file.get() < 0) return fail(file_error(beside, "create"));
    written = write_all(file.get(), header) && write_all(file.get(), document) && ::fsync(file.get()) == 0;
  }
  if (written && ::rename(beside.c_str(), path.c_str()) == 0) return {};
  Error error = file_error(path, "write");
  ::unlink(beside.c_str());
  return fail(std::move(error));
}

Result<std::optional<std::string>> read_bounded(const std::string& path, std::size_t bytes_max) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<std::string>();
    return fail(file_error(path, "open"));
  }
  std::string text;
  char buffer[16'384];
  while (true) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(file_error(path, "read"));
    if (got == 0) return std::optional<std::string>(std::move(text));
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > bytes_max) {
      return fail(user_error("client.cache", fmt::format("{} is larger than {} bytes", path, bytes_max)));
    }
  }
}

Result<std::optional<CachedDocument>> read_cache(const std::string& path, std::size_t bytes_max) {
  PL_TRY(std::optional<std::string> text, read_bounded(path, bytes_max + kHeaderMax));
  if (!text) return std::optional<CachedDocument>();
  const std::size_t line_end = text->substr(0, kHeaderMax).find('\n');
  const Error damaged = user_error("client.cache", path + " is damaged: it is not used");
  if (line_end == std::string::npos) return fail(damaged);
  CachedDocument cached;
  unsigned long long epoch = 0, number = 0, size = 0, sum = 0;
  if (std::sscanf(text->c_str(), "poundlock-snapshot 1 %llu %llu %llu %llx", &epoch, &number, &size, &sum) !=
      4) {
    return fail(damaged);
  }
  cached.document = text->substr(line_end + 1);
  cached.revision = {epoch, number};
  if (cached.document.size() != size || checksum(cached.document) != sum) return fail(damaged);
  return std::optional<CachedDocument>(std::move(cached));
}

}  // namespace poundlock::client
