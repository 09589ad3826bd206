#include "migration/words.h"

namespace poundlock::migration {
namespace {

std::string plain(std::string_view word) {
  std::string out;
  if (word.size() >= 2 && word.front() == '"') {
    for (std::size_t i = 1; i + 1 < word.size(); ++i) {
      out += word[i];
      if (word[i] == '"') ++i;
    }
    return out;
  }
  for (const char c : word) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

// Numbers, strings and punctuation name nothing: of a script of data they are nearly all there is.
bool may_name(std::string_view word) {
  if (word.empty()) return false;
  const auto c = static_cast<unsigned char>(word.front());
  return c == '"' || c == '_' || c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

Words words_of(const schema::Statement& statement) {
  Words out;
  for (const auto& token : statement.tokens())
    if (const auto word = statement.slice(token.range); may_name(word)) out.insert(plain(word));
  return out;
}

}  // namespace poundlock::migration
