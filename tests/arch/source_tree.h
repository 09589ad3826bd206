// The repository's files as the tests of its shape see them. A check is a function over one File, so
// that each test can show on a bad sample that the check is able to fail.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace arch {

struct File {
  std::string path;  // from the repository's top, with forward slashes
  std::string text;
};

// What is wrong, as "path:line: reason"; empty is good.
using Findings = std::vector<std::string>;

inline std::filesystem::path top() {
  return POUNDLOCK_SOURCE_DIR;
}

inline std::string finding(const File& file, std::size_t line, std::string_view reason) {
  return file.path + ":" + std::to_string(line) + ": " + std::string(reason);
}

inline void append(Findings& all, Findings more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

inline std::string joined(const Findings& findings) {
  std::string text;
  for (const auto& one : findings) text += "\n  " + one;
  return text;
}

inline std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Build folders and version control are not the repository.
inline bool is_foreign(const std::filesystem::path& folder) {
  const std::string name = folder.filename().string();
  return name == ".git" || name == ".cache" || name == "build" || name.starts_with("build-");
}

// Every file whose path `wanted` accepts, sorted, so that a failure reads the same on every machine.
inline std::vector<File> files_where(const std::function<bool(const std::string&)>& wanted) {
  namespace fs = std::filesystem;
  std::vector<File> found;
  for (auto entry = fs::recursive_directory_iterator(top()); entry != fs::end(entry); ++entry) {
    if (entry->is_directory() && is_foreign(entry->path())) entry.disable_recursion_pending();
    if (!entry->is_regular_file()) continue;
    std::string path = entry->path().lexically_relative(top()).generic_string();
    if (wanted(path)) found.push_back({path, read(entry->path())});
  }
  std::sort(found.begin(), found.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return found;
}

inline bool is_cpp(std::string_view path) {
  return path.ends_with(".cpp") || path.ends_with(".h");
}
inline bool is_shell(std::string_view path) {
  return path == "dev" || path == ".ci/run" || path.ends_with(".sh") || path.ends_with(".awk");
}
inline bool is_test(std::string_view path) {
  return path.ends_with("_test.cpp") || path.starts_with("tests/");
}

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

inline std::size_t line_at(std::string_view text, std::size_t offset) {
  return 1 +
         static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<long>(offset), '\n'));
}

enum class Keep { kStrings, kCodeOnly };

// Where the comment or literal that begins at `at` ends, or `at` where none begins. A digit separator
// (1'000) begins no character literal.
inline std::size_t end_of_token(std::string_view text, std::size_t at) {
  const auto until = [&](std::string_view mark, std::size_t from) {
    const std::size_t end = text.find(mark, from);
    return end == std::string_view::npos ? text.size() : end + mark.size();
  };
  if (text.substr(at, 2) == "//") return std::min(text.find('\n', at), text.size());
  if (text.substr(at, 2) == "/*") return until("*/", at + 2);
  if (text.substr(at, 2) == "R\"") {
    const std::size_t open = text.find('(', at);
    return open == std::string_view::npos
               ? text.size()
               : until(")" + std::string(text.substr(at + 2, open - at - 2)) + "\"", open);
  }
  const char quote = text[at];
  const bool separator = quote == '\'' && at > 0 && std::isalnum(static_cast<unsigned char>(text[at - 1]));
  if ((quote != '"' && quote != '\'') || separator) return at;
  std::size_t end = at + 1;
  while (end < text.size() && text[end] != quote && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
  return std::min(end + 1, text.size());
}

// C++ text with comments, and under kCodeOnly literals too, blanked out; lines and columns stay.
inline std::string stripped(std::string_view text, Keep keep) {
  std::string out(text);
  std::size_t at = 0;
  while (at < out.size()) {
    const std::size_t end = end_of_token(text, at);
    const bool comment = text[at] == '/';
    if (end > at && (comment || keep == Keep::kCodeOnly)) {
      std::replace_if(
          out.begin() + static_cast<long>(at), out.begin() + static_cast<long>(end),
          [](char c) { return c != '\n'; }, ' ');
    }
    at = std::max(end, at + 1);
  }
  return out;
}

struct Include {
  std::size_t line;
  bool quoted;
  std::string path;
};

inline std::vector<Include> includes_of(const File& file) {
  static const std::regex pattern(R"re(^\s*#\s*include\s*(["<])([^">]+)[">])re");
  std::vector<Include> found;
  const auto lines = lines_of(stripped(file.text, Keep::kStrings));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    if (std::regex_search(lines[i], match, pattern)) found.push_back({i + 1, match[1] == "\"", match[2]});
  }
  return found;
}

// One finding for every match of the pattern in text that has the file's lines.
inline Findings matches(const File& file, const std::string& text, const std::regex& pattern,
                        std::string_view reason) {
  Findings found;
  for (auto match = std::sregex_iterator(text.begin(), text.end(), pattern); match != std::sregex_iterator();
       ++match) {
    std::string word = match->str();
    word.erase(0, word.find_first_not_of(" \t\n"));
    const auto offset = static_cast<std::size_t>(match->position() + match->length() - 1);
    found.push_back(finding(file, line_at(text, offset), std::string(reason) + ": " + word));
  }
  return found;
}

}  // namespace arch
