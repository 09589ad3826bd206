#include "store/lock_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <system_error>
#include <utility>

namespace poundlock::store {
namespace {

std::string holder_of(int fd) {
  std::array<char, 32> text{};
  const ssize_t size = pread(fd, text.data(), text.size(), 0);
  std::string pid;
  for (ssize_t i = 0; i < size && std::isdigit(static_cast<unsigned char>(text[i])); ++i) pid += text[i];
  return pid.empty() ? "another process" : "process " + pid;
}

}  // namespace

Result<LockFile> LockFile::acquire(const std::string& path) {
  // Close-on-exec: a child that inherits the descriptor would hold the lock after we are gone.
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    const auto reason = std::generic_category().message(errno);
    return fail(user_error("store.path", fmt::format("cannot open the lock file {}: {}", path, reason))
                    .with_hint("check that the folder exists and that this user may write to it"));
  }
  LockFile lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return fail(make_error(Disposition::kConflict, "store.locked",
                             fmt::format("the store is in use: {} holds {}", holder_of(fd), path))
                      .with_hint("one poundlockd at a time may use a store; stop that one first"));
    }
    const auto reason = std::generic_category().message(errno);
    return fail(user_error("store.path", fmt::format("cannot lock {}: {}", path, reason))
                    .with_hint("put the store on a local file system that supports flock"));
  }
  const std::string pid = fmt::format("{}\n", getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    // A full disk must not keep the server (and the kill switch) down: the pid is for a message only.
  }
  return lock;
}

LockFile::LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

LockFile::~LockFile() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace poundlock::store
