#include "rollout/spec_parts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/strings.h"

namespace poundlock::rollout::parts {
namespace {

constexpr std::size_t kNameMax = 48;

// "Orders-Status v2" -> "orders_status_v2": what the writer probably wants.
std::string plain_form(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (out.size() == kNameMax) break;
    if (c >= 'A' && c <= 'Z') {
      out += static_cast<char>(c - 'A' + 'a');
    } else if ((c >= 'a' && c <= 'z') || (!out.empty() && c >= '0' && c <= '9')) {
      out += c;
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  return out;
}

bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > kNameMax || name[0] < 'a' || name[0] > 'z') return false;
  for (const char c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return true;
}

}  // namespace

Result<std::string> plain_name(const yaml::Node& node, std::string_view what) {
  PL_TRY(std::string name, node.as_string(what));
  if (is_plain_name(name)) return name;
  Error error = node.error("spec.name", fmt::format("{}: {} is no valid name; expected a small letter, then "
                                                    "up to {} of a-z, 0-9 and _",
                                                    what, quote_for_message(name), kNameMax - 1));
  if (const std::string better = plain_form(name); !better.empty()) {
    return fail(std::move(error).with_hint(fmt::format("write {}", better)));
  }
  return fail(std::move(error));
}

std::string words(const std::vector<std::string>& list) {
  if (list.size() < 2) return fmt::format("{}", fmt::join(list, ""));
  return fmt::format("{} and {}", fmt::join(list.begin(), list.end() - 1, ", "), list.back());
}

}  // namespace poundlock::rollout::parts
