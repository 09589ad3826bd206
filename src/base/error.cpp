#include "base/error.h"

#include <fmt/format.h>

namespace poundlock {

std::string Error::to_string() const {
  std::string text;
  if (where) text = fmt::format("{}:{}:{}: ", where->file, where->line, where->column);
  text += message;
  if (!sqlstate.empty()) text += fmt::format(" [SQLSTATE {}]", sqlstate);
  if (!hint.empty()) text += fmt::format(" ({})", hint);
  return text;
}

int exit_code(const Error& error) {
  switch (error.disposition) {
    case Disposition::kRefused: return 1;
    case Disposition::kUser: return 2;
    case Disposition::kRetry:
    case Disposition::kReconnect:
    case Disposition::kInDoubt: return 3;
    case Disposition::kConflict: return 4;
    case Disposition::kInternal: return 70;
  }
  return 70;
}

const char* to_string(Disposition disposition) {
  switch (disposition) {
    case Disposition::kRetry: return "retry";
    case Disposition::kReconnect: return "reconnect";
    case Disposition::kInDoubt: return "in_doubt";
    case Disposition::kUser: return "user";
    case Disposition::kRefused: return "refused";
    case Disposition::kConflict: return "conflict";
    case Disposition::kInternal: return "internal";
  }
  return "internal";
}

}  // namespace poundlock
