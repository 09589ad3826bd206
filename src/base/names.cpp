#include "base/names.h"

#include <algorithm>

#include "base/strings.h"

namespace poundlock {

std::string clean_name(std::string_view name, std::string_view empty) {
  std::size_t size = std::min(name.size(), kNameMax);
  // Never in the middle of a character.
  while (size < name.size() && size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0) == 0x80) --size;
  std::string clean(name.substr(0, size));
  const bool malformed = first_invalid_utf8(clean) != std::string_view::npos;
  for (char& c : clean) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || (malformed && byte >= 0x80)) c = '?';
  }
  return clean.empty() ? std::string(empty) : clean;
}

}  // namespace poundlock
