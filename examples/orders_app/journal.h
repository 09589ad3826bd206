// What one writer did, in a file that outlives the process, so that afterwards every acknowledged write
// can be looked for in the table. One line for each event, appended with one write(2):
//   I SEQUENCE ID STATUS   about to write
//   A SEQUENCE ID STATUS   the server acknowledged the commit
//   F SEQUENCE ID STATUS   the server refused it: certainly not applied
// An I that neither A nor F follows is in doubt: the row may hold its status or the one before. Sequences
// grow over restarts. Used by one thread.
#pragma once

#include <cstdint>
#include <string>

namespace orders {

class Journal {
 public:
  // DIRECTORY/writer-N.journal; an empty directory keeps no journal. Reads an existing one to go on.
  Journal(const std::string& directory, int writer);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  std::uint64_t intend(std::int64_t id, const std::string& status);
  void acknowledged(std::uint64_t sequence, std::int64_t id, const std::string& status);
  void refused(std::uint64_t sequence, std::int64_t id, const std::string& status);
  std::int64_t highest_id() const { return highest_id_; }  // that was ever intended; 0: none
  bool good() const { return good_; }

 private:
  void append(char kind, std::uint64_t sequence, std::int64_t id, const std::string& status);

  int file_ = -1;
  bool good_ = true;
  std::uint64_t sequence_ = 0;
  std::int64_t highest_id_ = 0;
};

}  // namespace orders
