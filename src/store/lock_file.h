// An exclusive lock that ends with the process, however it ends.
#pragma once

#include <string>

#include "base/result.h"

namespace poundlock::store {

// Movable owner of a locked file. The file stays after the lock is released: removing it would let two
// processes hold locks on two files of one name.
class LockFile {
 public:
  // kConflict store.locked where another holder has it; the message names its pid.
  static Result<LockFile> acquire(const std::string& path);
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace poundlock::store
