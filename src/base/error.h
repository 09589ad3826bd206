// Errors are values. Each says who has to act (its disposition), what happened, and what to do next.
// Immutable after construction apart from the with_ helpers; safe to copy between threads.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace poundlock {

// Who acts on an error, and how. Anything that may have committed is kInDoubt: it is probed, never
// repeated blindly.
enum class Disposition {
  kRetry,      // transient: the same call may succeed (lock_timeout, serialization failure, busy)
  kReconnect,  // the connection is gone and nothing was in flight that could have committed
  kInDoubt,    // the connection broke while a commit was in flight: probe before anything else
  kUser,       // the input or the setting is wrong: somebody has to change it
  kRefused,    // a gate or a check said no
  kConflict,   // somebody else was first, or this executor's generation is out of date
  kInternal,   // a fault of Poundlock
};

// A place in a file that a person wrote. Lines and columns count from 1; columns count characters.
struct SourcePosition {
  std::string file;
  int line = 0;
  int column = 0;
  bool operator==(const SourcePosition&) const = default;
};

struct Error {
  Disposition disposition = Disposition::kInternal;
  std::string code;      // stable and machine-readable: "spec.unknown_key", "pg.lock_timeout"
  std::string message;   // what happened, for a person; no trailing full stop
  std::string hint;      // what to do next; may be empty
  std::string sqlstate;  // five characters when PostgreSQL reported it
  std::optional<SourcePosition> where;

  Error with_hint(std::string text) && {
    hint = std::move(text);
    return std::move(*this);
  }
  Error at(SourcePosition position) && {
    where = std::move(position);
    return std::move(*this);
  }
  // "file:line:column: message (hint)", the one rendering that log, command line and API share.
  std::string to_string() const;
};

inline Error make_error(Disposition disposition, std::string code, std::string message) {
  return Error{disposition, std::move(code), std::move(message), {}, {}, std::nullopt};
}
inline Error user_error(std::string code, std::string message) {
  return make_error(Disposition::kUser, std::move(code), std::move(message));
}
inline Error internal_error(std::string message) {
  return make_error(Disposition::kInternal, "internal", std::move(message));
}

// Exit codes of the command line (docs/reference): 0 done, 1 a gate or check said no, 2 usage,
// 3 cannot reach something, 4 conflict or stale generation, 70 a fault of ours.
int exit_code(const Error& error);
const char* to_string(Disposition disposition);

}  // namespace poundlock
