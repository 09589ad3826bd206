#include "migration/do_block.h"

#include <fmt/format.h>

namespace poundlock::migration {

std::string do_block(const std::string& body) {
  std::string tag = "$poundlock$";
  for (int n = 2; body.find(tag) != body.npos; ++n) tag = fmt::format("$poundlock{}$", n);
  return fmt::format("DO {0}{1}{0};", tag, body);
}

}  // namespace poundlock::migration
