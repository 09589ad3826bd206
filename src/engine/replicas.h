// The declared replicas of a database, each with a session that is opened again when it broke. One that
// cannot be reached is told as such and never left out: it may have readers, and come back with them.
// One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/database.h"

namespace poundlock::engine {

class Replicas {
 public:
  Replicas(const std::vector<ports::Database*>& databases, Clock& clock);

  std::size_t size() const { return all_.size(); }
  bool empty() const { return all_.empty(); }
  // nullptr: it cannot be reached. Tries once a second at most.
  ports::Session* session(std::size_t index);
  static std::string name(std::size_t index);  // "replica 1"
  // "replica 1 (app at host:5432) cannot be reached: ...", of the newest try.
  std::string trouble(std::size_t index) const;
  void close();  // the sessions; they open again when they are asked for

 private:
  struct Replica {
    ports::Database* database = nullptr;
    std::unique_ptr<ports::Session> session;
    std::optional<TimePoint> tried;
    std::string error;
  };
  Clock& clock_;
  std::vector<Replica> all_;
};

}  // namespace poundlock::engine
