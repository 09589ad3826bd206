// Writes that a rehearsal makes as an application would: what they cost, and whether what the new side writes
// comes back from the legacy side. On a shadow; used by rehearsal.cpp only. One session, one thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/checks.h"

namespace poundlock::engine {

struct Wal {
  double records = 0, bytes = 0;  // a row; bytes without full-page images, which come with checkpoints
};

// Updates of the first legacy column on scattered rows. They move values between rows; where a constraint or
// a trigger of people's refuses that, as a unique column does, they write each row's own value once more, and
// notes() says so. Errors are those of a session that is gone.
class LegacyWrites {
 public:
  LegacyWrites(const rollout::Plan& plan, ports::Session& session) : plan_(plan), session_(session) {}

  // A table that was just copied is packed; one that lives has room on its pages, and a write then costs
  // less. Without this, what the backfill's fuller pages cost would be no surprise here and one in
  // production.
  Status live_a_little();
  // What such an update writes, taken back; nothing where it could not be made.
  Result<Wal> cost();
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::string update(int seed) const;
  Status refused(const Error& error);

  const rollout::Plan& plan_;
  ports::Session& session_;
  bool own_values_ = false;
  bool impossible_ = false;
  std::vector<std::string> notes_;
};

// Writes other values on the new side and then the old ones again, with both sides open: the legacy side has
// to hold what gives each of them back. All is taken back. Errors: "rehearsal.values" where values are lost
// or cannot be written. What could not be tried is a note.
Status new_values_come_back(const rollout::Plan& plan, ports::Session& session,
                            std::vector<std::string>& notes);

}  // namespace poundlock::engine
