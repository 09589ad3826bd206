// The documentation against the repository: links lead somewhere, the glossary's words are in use, and
// every page is in the index. (The reference pages are compared with the code by tests/reference.)
#include <gtest/gtest.h>

#include <set>

#include "source_tree.h"

namespace arch {
namespace {

bool is_page(const std::string& path) {
  return path.ends_with(".md");
}

std::string lowered(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// Markdown with fenced code blanked out; lines stay.
std::string prose(const std::string& text) {
  std::string out;
  bool fenced = false;
  for (const std::string& line : lines_of(text)) {
    const bool fence = line.starts_with("```");
    if (!fence && !fenced) out += line;
    out += '\n';
    fenced = fenced != fence;
  }
  return out;
}

// The anchor that a heading gets where the pages are read: lower case, spaces to hyphens, signs dropped.
std::string anchor_of(const std::string& heading) {
  std::string anchor;
  for (const char c : lowered(heading)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_') anchor += c;
    if (c == ' ') anchor += '-';
  }
  return anchor;
}

bool has_anchor(const std::string& page, const std::string& anchor) {
  for (const std::string& line : lines_of(prose(page))) {
    const std::size_t text = line.find_first_not_of('#');
    if (text == std::string::npos || text == 0 || line[text] != ' ') continue;
    if (anchor_of(line.substr(text + 1)) == anchor) return true;
  }
  return false;
}

Findings check_links(const File& page, const std::filesystem::path& root) {
  static const std::regex link(R"(\]\(([^)\s]+)\))");
  static const std::regex outside("^([a-z]+:|//)");
  Findings found;
  const std::string text = prose(page.text);
  for (auto match = std::sregex_iterator(text.begin(), text.end(), link); match != std::sregex_iterator();
       ++match) {
    const std::string target = match->str(1);
    if (std::regex_search(target, outside)) continue;
    const std::size_t hash = target.find('#');
    const std::string path = target.substr(0, hash);
    const std::filesystem::path file =
        path.empty() ? root / page.path : root / std::filesystem::path(page.path).parent_path() / path;
    const std::size_t line = line_at(text, static_cast<std::size_t>(match->position()));
    if (!path.empty() && !std::filesystem::exists(file)) {
      found.push_back(finding(page, line, "leads nowhere: " + target));
    } else if (hash != std::string::npos && is_page(file.string()) &&
               !has_anchor(path.empty() ? page.text : read(file), target.substr(hash + 1))) {
      found.push_back(finding(page, line, "no such heading: " + target));
    }
  }
  return found;
}

// The words that a glossary explains: "**word**" at the beginning of a line or list item.
std::vector<std::string> words_of(const std::string& glossary) {
  static const std::regex word(R"(^(?:- )?\*\*([^*]+)\*\*)");
  std::vector<std::string> words;
  for (const std::string& line : lines_of(glossary)) {
    std::smatch match;
    if (std::regex_search(line, match, word)) words.push_back(match.str(1));
  }
  return words;
}

// Explained twice is two meanings; used nowhere is none.
Findings check_glossary(const File& glossary, const std::string& everything) {
  Findings found;
  std::set<std::string> seen;
  for (const std::string& word : words_of(glossary.text)) {
    if (!seen.insert(lowered(word)).second) found.push_back(finding(glossary, 1, "explained twice: " + word));
    if (everything.find(lowered(word)) == std::string::npos) {
      found.push_back(finding(glossary, 1, "used nowhere: " + word));
    }
  }
  return found;
}

TEST(Docs, LinksLeadSomewhere) {
  Findings found;
  const auto pages = files_where(is_page);
  ASSERT_FALSE(pages.empty());
  for (const File& page : pages) append(found, check_links(page, top()));
  EXPECT_TRUE(found.empty()) << joined(found);
}

TEST(Docs, GlossaryWordsAreInUse) {
  const File glossary{"docs/GLOSSARY.md", read(top() / "docs/GLOSSARY.md")};
  ASSERT_GT(words_of(glossary.text).size(), 10U);
  std::string everything;
  for (const File& file : files_where([](const std::string& path) {
         return path != "docs/GLOSSARY.md" && (is_page(path) || is_cpp(path));
       })) {
    everything += lowered(file.text);
  }
  const Findings found = check_glossary(glossary, everything);
  EXPECT_TRUE(found.empty()) << joined(found);
}

TEST(Docs, EveryPageIsInTheIndex) {
  const std::string index = read(top() / "docs/README.md");
  const std::string rules = read(top() / "docs/reference/lint-rules.md");  // of the pages below docs/rules
  for (const File& page : files_where([](const std::string& path) {
         return path.starts_with("docs/") && is_page(path) && path != "docs/README.md";
       })) {
    const bool rule = page.path.starts_with("docs/rules/");
    const std::string link = std::string("](") + (rule ? "../" : "") + page.path.substr(5) + ")";
    EXPECT_NE((rule ? rules : index).find(link), std::string::npos) << page.path;
  }
}

// From here on: the checks can fail.

TEST(DocsCheck, FindsDeadLinksAndHeadings) {
  EXPECT_EQ(check_links({"docs/a.md", "x\n[b](no-such-page.md)"}, top()),
            Findings{"docs/a.md:2: leads nowhere: no-such-page.md"});
  EXPECT_EQ(check_links({"docs/a.md", "# One two\n[b](#one-three)"}, top()).size(), 1U);
  EXPECT_TRUE(check_links({"docs/a.md", "# One, two\n[b](#one-two)"}, top()).empty());
  EXPECT_TRUE(check_links({"docs/a.md", "[b](https://example.org/x)\n```\n[c](d.md)\n```"}, top()).empty());
}

TEST(DocsCheck, FindsUnusedAndDoubleWords) {
  const File glossary{"g.md", "**gate**: a check.\n**lock**: another.\n**Gate**: a door."};
  EXPECT_EQ(check_glossary(glossary, "a gate"),
            (Findings{"g.md:1: used nowhere: lock", "g.md:1: explained twice: Gate"}));
}

}  // namespace
}  // namespace arch
