#include "base/json_place.h"

#include <optional>
#include <vector>

#include "base/json.h"

namespace poundlock::json {
namespace {

// Walks text that is known to be valid JSON; every move is bounded by the text's end all the same.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) { blanks(); }

  std::size_t at() const { return at_; }

  // Onto the member's value, or onto its key; false where there is none, and then nothing is promised.
  bool enter_member(std::string_view key, bool at_key) {
    if (!take('{')) return false;
    while (at_ < text_.size() && text_[at_] == '"') {
      const std::size_t begin = at_;
      skip_string();
      const bool found = same_key(text_.substr(begin, at_ - begin), key);
      if (found && at_key) at_ = begin;
      if (found && at_key) return true;
      blanks();
      take(':');
      if (found) return true;
      skip_value();
      if (!take(',')) return false;
    }
    return false;
  }

  bool enter_item(std::size_t index) {
    if (!take('[')) return false;
    for (std::size_t i = 0; i < index; ++i) {
      skip_value();
      if (!take(',')) return false;
    }
    return at_ < text_.size() && text_[at_] != ']';
  }

 private:
  void blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  bool take(char wanted) {
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    blanks();
    return true;
  }
  void skip_string() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    if (at_ < text_.size()) ++at_;
  }
  void skip_value() {
    std::size_t open = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        skip_string();
      } else if (c == '{' || c == '[') {
        ++open;
        ++at_;
      } else if (c == '}' || c == ']') {
        if (open == 0) break;
        --open;
        ++at_;
      } else if (c == ',' && open == 0) {
        break;
      } else {
        ++at_;
        continue;
      }
      if (open == 0) break;
    }
    blanks();
  }
  static bool same_key(std::string_view quoted, std::string_view key) {
    if (quoted.size() < 2) return false;
    if (quoted.find('\\') == std::string_view::npos) return quoted.substr(1, quoted.size() - 2) == key;
    const auto text = parse(quoted, "key");
    return text && text->is_string() && std::string_view(text->get_string()) == key;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::size_t offset_of(std::string_view text, const Place& place) {
  std::vector<const Place*> steps;
  for (const Place* step = &place; step->parent != nullptr; step = step->parent) steps.push_back(step);
  Walker walker(text);
  std::size_t found = walker.at();
  while (!steps.empty()) {
    const Place& step = *steps.back();
    steps.pop_back();
    if (!(step.is_item ? walker.enter_item(step.index) : walker.enter_member(step.key, step.at_key))) break;
    found = walker.at();
    if (step.at_key) break;
  }
  return found;
}

}  // namespace poundlock::json
