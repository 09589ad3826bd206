#include "lint/code_words.h"

#include <algorithm>
#include <cctype>

namespace poundlock::lint {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}

}  // namespace

std::set<std::string, std::less<>> code_words(std::string_view code) {
  std::set<std::string, std::less<>> words;
  for (std::size_t at = 0; at < code.size();) {
    std::size_t end = at;
    while (end < code.size() && is_word(code[end])) ++end;
    std::string word(code.substr(at, end - at));
    if (!word.empty()) words.insert(word);
    std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
    if (!word.empty()) words.insert(std::move(word));
    at = std::max(end, at + 1);
  }
  return words;
}

}  // namespace poundlock::lint
