// Reads the includes of the product and holds them against the table of layers, which exists once: in
// docs/ARCHITECTURE.md, in the block fenced as `layers`.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "source_tree.h"

namespace arch {
namespace {

struct Layers {
  std::vector<std::string> order;                    // lowest first, as written
  std::map<std::string, std::set<std::string>> may;  // layer -> layers that it may include
};

constexpr std::string_view kPublic = "poundlock";  // include/poundlock, the headers of applications

// Lines of the form "layer: what it may include". A layer may only name layers written above it, so
// that the table itself cannot hold an edge upward or a cycle.
Layers parse_layers(const std::string& document, Findings& problems) {
  static const std::regex block("```layers\n([^`]*)```");
  Layers layers;
  std::smatch match;
  if (!std::regex_search(document, match, block)) {
    problems.push_back("docs/ARCHITECTURE.md: no block fenced as `layers`");
    return layers;
  }
  for (const std::string& line : lines_of(match.str(1))) {
    const std::size_t colon = line.find(':');
    std::istringstream name(line.substr(0, colon));
    std::string layer;
    name >> layer;
    std::istringstream below(colon == std::string::npos ? "" : line.substr(colon + 1));
    for (std::string one; below >> one;) {
      if (!layers.may.contains(one))
        problems.push_back("layer " + layer + " names " + one + " before its row");
      layers.may[layer].insert(one);
    }
    layers.may[layer];
    layers.order.push_back(layer);
  }
  return layers;
}

// src/LAYER/..., include/poundlock/..., examples/...: the row of the table that governs the file.
std::string layer_of(const std::string& path) {
  if (path.starts_with("include/poundlock/")) return std::string(kPublic);
  if (path.starts_with("examples/")) return "examples";
  if (!path.starts_with("src/")) return "";
  const std::size_t end = path.find('/', 4);
  return end == std::string::npos ? "" : path.substr(4, end - 4);
}

Findings check_includes(const File& file, const Layers& layers) {
  Findings found;
  const std::string layer = layer_of(file.path);
  const auto row = layers.may.find(layer);
  if (row == layers.may.end())
    return {finding(file, 1, "layer " + layer + " has no row in docs/ARCHITECTURE.md")};
  for (const Include& include : includes_of(file)) {
    const std::size_t slash = include.path.find('/');
    const std::string target = include.path.substr(0, slash);
    const bool ours = slash != std::string::npos && layers.may.contains(target);
    if (ours && target != layer && !row->second.contains(target)) {
      found.push_back(finding(file, include.line, layer + " must not include " + include.path));
    } else if (include.quoted && !ours && file.path.starts_with("src/")) {
      found.push_back(finding(file, include.line, "write includes from src: " + include.path));
    } else if (layer == kPublic && include.quoted && !ours) {
      found.push_back(
          finding(file, include.line, "a public header includes only public headers: " + include.path));
    }
  }
  return found;
}

Layers real_layers(Findings& problems) {
  return parse_layers(read(top() / "docs/ARCHITECTURE.md"), problems);
}

TEST(Layers, TableIsWellFormedAndNamesEveryFolder) {
  Findings problems;
  const Layers layers = real_layers(problems);
  for (const auto& entry : std::filesystem::directory_iterator(top() / "src")) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && !layers.may.contains(name)) problems.push_back("src/" + name + " has no row");
  }
  EXPECT_TRUE(problems.empty()) << joined(problems);
  EXPECT_GE(layers.order.size(), 15U);
}

TEST(Layers, ServerCliAndSimNeverMeet) {
  Findings problems;
  const Layers layers = real_layers(problems);
  for (const char* one : {"server", "cli", "sim"}) {
    ASSERT_TRUE(layers.may.contains(one));
    for (const char* other : {"server", "cli", "sim"}) {
      EXPECT_FALSE(layers.may.at(one).contains(other)) << one << " -> " << other;
    }
  }
}

TEST(Layers, EveryIncludeGoesDownward) {
  Findings problems;
  const Layers layers = real_layers(problems);
  const auto files = files_where([](const std::string& path) {
    return is_cpp(path) &&
           (path.starts_with("src/") || path.starts_with("include/") || path.starts_with("examples/"));
  });
  ASSERT_FALSE(files.empty());
  for (const File& file : files) append(problems, check_includes(file, layers));
  EXPECT_TRUE(problems.empty()) << joined(problems);
}

// From here on: the checks can fail.

const char kSample[] = "text\n```layers\nbase:\nflag: base\nsim: flag base\n```\n";

TEST(LayersCheck, FindsAnIncludeUpward) {
  Findings problems;
  const Layers layers = parse_layers(kSample, problems);
  ASSERT_TRUE(problems.empty()) << joined(problems);
  const File good{"src/flag/a.cpp", "#include <vector>\n#include \"base/x.h\"\n#include \"flag/y.h\"\n"};
  EXPECT_TRUE(check_includes(good, layers).empty());
  EXPECT_EQ(check_includes({"src/base/a.h", "// a\n#include \"flag/y.h\"\n"}, layers),
            Findings{"src/base/a.h:2: base must not include flag/y.h"});
  EXPECT_EQ(check_includes({"src/flag/a.h", "# include <sim/y.h>\n"}, layers).size(), 1U);
}

TEST(LayersCheck, IgnoresAnIncludeInAComment) {
  Findings problems;
  const Layers layers = parse_layers(kSample, problems);
  EXPECT_TRUE(
      check_includes({"src/base/a.h", "// #include \"flag/y.h\"\n/*\n#include \"sim/x.h\"\n*/"}, layers)
          .empty());
}

TEST(LayersCheck, FindsRelativeIncludesAndUnknownFolders) {
  Findings problems;
  const Layers layers = parse_layers(kSample, problems);
  EXPECT_EQ(check_includes({"src/flag/a.cpp", "#include \"y.h\"\n"}, layers).size(), 1U);
  EXPECT_EQ(check_includes({"src/flag/a.cpp", "#include \"../base/y.h\"\n"}, layers).size(), 1U);
  EXPECT_EQ(check_includes({"src/other/a.cpp", ""}, layers).size(), 1U);
}

TEST(LayersCheck, FindsAnUpwardRowInTheTable) {
  Findings problems;
  parse_layers("```layers\nbase: flag\nflag: base\n```", problems);
  EXPECT_EQ(problems.size(), 1U);
  parse_layers("no table", problems);
  EXPECT_EQ(problems.size(), 2U);
}

}  // namespace
}  // namespace arch
