#include "orders_app/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace orders {

Journal::Journal(const std::string& directory, int writer) {
  if (directory.empty()) return;
  const std::string path = directory + "/writer-" + std::to_string(writer) + ".journal";
  bool ends_whole = true;
  {
    std::ifstream in(path);
    char kind = 0;
    std::uint64_t sequence = 0;
    std::int64_t id = 0;
    std::string status;
    while (in >> kind >> sequence >> id >> status) {
      sequence_ = std::max(sequence_, sequence);
      highest_id_ = std::max(highest_id_, id);
    }
    in.clear();
    if (in.seekg(-1, std::ios::end)) ends_whole = in.get() == '\n';
  }
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  good_ = file_ >= 0;
  // A line that a kill cut short must not swallow the next one.
  if (good_ && !ends_whole) good_ = ::write(file_, "\n", 1) == 1;
}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
}

void Journal::append(char kind, std::uint64_t sequence, std::int64_t id, const std::string& status) {
  if (file_ < 0) return;
  const std::string line =
      std::string(1, kind) + ' ' + std::to_string(sequence) + ' ' + std::to_string(id) + ' ' + status + '\n';
  if (::write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) good_ = false;
}

std::uint64_t Journal::intend(std::int64_t id, const std::string& status) {
  append('I', ++sequence_, id, status);
  highest_id_ = std::max(highest_id_, id);
  return sequence_;
}

void Journal::acknowledged(std::uint64_t sequence, std::int64_t id, const std::string& status) {
  append('A', sequence, id, status);
}

void Journal::refused(std::uint64_t sequence, std::int64_t id, const std::string& status) {
  append('F', sequence, id, status);
}

}  // namespace orders
