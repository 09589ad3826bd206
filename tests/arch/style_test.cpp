// The habits of this code base that a machine can hold: sizes, words, headers, and what g++ 12 gets
// wrong. Forbidden words are written here in two halves, so that the file passes its own checks.
#include <gtest/gtest.h>

#include <cctype>

#include "source_tree.h"

namespace arch {
namespace {

constexpr std::size_t kFileLinesMax = 600;
constexpr std::size_t kLineColumnsMax = 110;
constexpr std::size_t kFunctionLinesMax = 70;

bool is_code(const std::string& path) {
  return is_cpp(path) || is_shell(path);
}

std::size_t columns(const std::string& line) {  // UTF-8 continuation bytes take no column
  return static_cast<std::size_t>(std::count_if(
      line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

Findings check_size(const File& file) {
  Findings found;
  const auto lines = lines_of(file.text);
  if (lines.size() > kFileLinesMax) {
    found.push_back(finding(file, lines.size(), "over " + std::to_string(kFileLinesMax) + " lines"));
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (columns(lines[i]) > kLineColumnsMax) {
      found.push_back(finding(file, i + 1, std::to_string(columns(lines[i])) + " columns"));
    }
  }
  return found;
}

Findings check_header(const File& file) {
  Findings found;
  if (!file.path.ends_with(".h")) return found;
  if (!file.text.starts_with("//")) found.push_back(finding(file, 1, "a header opens by saying what it is"));
  if (file.text.find("\n#pragma once\n") == std::string::npos)
    found.push_back(finding(file, 1, "no #pragma once"));
  return found;
}

// Words that mark unfinished work.
Findings check_words(const File& file) {
  static const std::regex pattern(
      "\\b(TO"
      "DO|FIX"
      "ME|X"
      "XX|HA"
      "CK|not imple"
      "mented)\\b");
  return matches(file, file.text, pattern, "finish it or open an issue");
}

// g++ 12 miscompiles coroutines (docs/adr/0001-no-coroutines.md).
Findings check_coroutines(const File& file) {
  static const std::regex pattern("\\bco_(await|return|yield)\\b");
  if (!is_cpp(file.path)) return {};
  return matches(file, stripped(file.text, Keep::kCodeOnly), pattern, "coroutine");
}

// A test that sleeps is slow on a good day and fails on a bad one: wait for the condition. The helpers
// that wait may pause between two looks; they are all in one folder.
Findings check_sleeps(const File& file) {
  static const std::regex pattern(
      "(\\bsleep_"
      "(for|until)|\\bus"
      "leep|\\bnanos"
      "leep|(^|[^\\w])::sl"
      "eep)\\s*\\(");
  if (!is_test(file.path) || !is_cpp(file.path) || file.path.starts_with("tests/scenario/support/"))
    return {};
  return matches(file, stripped(file.text, Keep::kCodeOnly), pattern, "sleeps in a test");
}

// A path of somebody's own machine works nowhere else.
Findings check_machine_paths(const File& file) {
  static const std::regex pattern(
      "(^|[\\s\"'`(=:<>])/(wo"
      "rk|ro"
      "ot|ho"
      "me/[a-z]+)/");
  return matches(file, file.text, pattern, "path of one machine");
}

// Reads braces, so it knows functions only by their shape: a block whose head holds a parameter list and
// which stands outside of any other function.
class FunctionReader {
 public:
  explicit FunctionReader(const File& file) : file_(file), code_(stripped(file.text, Keep::kCodeOnly)) {
    blank_preprocessor();
  }

  Findings too_long() {
    for (std::size_t at = 0; at < code_.size(); ++at) {
      switch (code_[at]) {
        case '{': open(at); break;
        case '}': close(at); break;
        case ';': head_ = at + 1; break;
        default: break;
      }
    }
    return found_;
  }

 private:
  struct Block {
    bool function;
    bool initializer;  // the braces of member_{value}: the head that they stand in goes on behind them
    std::size_t head;
  };

  void open(std::size_t at) {
    static const std::regex scope(
        R"(^\s*(inline\s+|template\s*<[^>]*>\s*)?(namespace|class|struct|union|enum|extern)\b[^(]*$)");
    const std::string head = code_.substr(head_, at - head_);
    const std::size_t begin = std::min(head.find_first_not_of(" \t\n"), head.size());
    const bool parameters = head.find(')') != std::string::npos;
    const bool initializer = parameters && (std::isalnum(static_cast<unsigned char>(head.back())) != 0 ||
                                            head.back() == '_' || head.back() == '>');
    const bool function = depth_ == 0 && parameters && !initializer && !std::regex_search(head, scope);
    blocks_.push_back({function, initializer, head_ + begin});
    depth_ += function ? 1 : 0;
    if (!initializer) head_ = at + 1;
  }

  void close(std::size_t at) {
    if (blocks_.empty()) return;
    const Block block = blocks_.back();
    blocks_.pop_back();
    if (!block.initializer) head_ = at + 1;
    if (!block.function) return;
    --depth_;
    const std::size_t first = line_at(code_, block.head);
    const std::size_t length = line_at(code_, at) - first + 1;
    if (length > kFunctionLinesMax) {
      found_.push_back(
          finding(file_, first, name_at(block.head) + " has " + std::to_string(length) + " lines"));
    }
  }

  std::string name_at(std::size_t head) const {
    static const std::regex name(R"(([\w:~]+)\s*\()");
    const std::string text = code_.substr(head, 400);
    std::smatch match;
    return std::regex_search(text, match, name) ? match.str(1) : "a function";
  }

  void blank_preprocessor() {  // macros need not balance their braces
    bool inside = false;
    for (std::size_t begin = 0; begin < code_.size();) {
      const std::size_t end = std::min(code_.find('\n', begin), code_.size());
      const std::size_t first = code_.find_first_not_of(" \t", begin);
      inside = inside || (first < end && code_[first] == '#');
      const bool continues = end > begin && code_[end - 1] == '\\';
      if (inside)
        std::fill(code_.begin() + static_cast<long>(begin), code_.begin() + static_cast<long>(end), ' ');
      inside = inside && continues;
      begin = end + 1;
    }
  }

  const File& file_;
  std::string code_;
  std::vector<Block> blocks_;
  std::size_t head_ = 0;
  int depth_ = 0;
  Findings found_;
};

Findings check_functions(const File& file) {
  return is_cpp(file.path) ? FunctionReader(file).too_long() : Findings{};
}

Findings over_code(Findings (*check)(const File&)) {
  Findings found;
  for (const File& file : files_where(is_code)) append(found, check(file));
  return found;
}

void expect_clean(const Findings& found) {
  EXPECT_TRUE(found.empty()) << joined(found);
}

TEST(Style, FilesAndLinesAreShort) {
  expect_clean(over_code(check_size));
}
TEST(Style, FunctionsAreShort) {
  expect_clean(over_code(check_functions));
}
TEST(Style, HeadersOpenWithAComment) {
  expect_clean(over_code(check_header));
}
TEST(Style, NothingIsMarkedAsUnfinished) {
  expect_clean(over_code(check_words));
}
TEST(Style, NoCoroutines) {
  expect_clean(over_code(check_coroutines));
}
TEST(Style, TestsDoNotSleep) {
  expect_clean(over_code(check_sleeps));
}

TEST(Style, NoPathOfOneMachine) {
  Findings found;
  for (const File& file : files_where([](const std::string&) { return true; }))
    append(found, check_machine_paths(file));
  expect_clean(found);
}

// From here on: the checks can fail.

TEST(StyleCheck, FindsLongFilesAndLines) {
  EXPECT_EQ(check_size({"a.cpp", std::string(kFileLinesMax, '\n')}).size(), 0U);
  EXPECT_EQ(check_size({"a.cpp", std::string(kFileLinesMax + 1, '\n')}).size(), 1U);
  EXPECT_EQ(check_size({"a.cpp", std::string(kLineColumnsMax, 'x')}).size(), 0U);
  EXPECT_EQ(check_size({"a.cpp", "\n" + std::string(kLineColumnsMax + 1, 'x')}),
            Findings{"a.cpp:2: 111 columns"});
}

TEST(StyleCheck, FindsHeadersWithoutGuardOrComment) {
  EXPECT_TRUE(check_header({"a.h", "// What it is.\n#pragma once\n"}).empty());
  EXPECT_EQ(check_header({"a.h", "// What it is.\n"}).size(), 1U);
  EXPECT_EQ(check_header({"a.h", "\n#pragma once\n"}).size(), 1U);
}

TEST(StyleCheck, FindsWords) {
  EXPECT_EQ(check_words({"a.cpp",
                         "int x;\n// TO"
                         "DO(me): later\n"})
                .size(),
            1U);
  EXPECT_TRUE(check_words({"a.cpp", "// HACKNEY, todos\n"}).empty());
}

TEST(StyleCheck, FindsCoroutines) {
  EXPECT_EQ(check_coroutines({"a.cpp",
                              "co_"
                              "await x;"})
                .size(),
            1U);
  EXPECT_TRUE(check_coroutines({"a.cpp",
                                "// no co_"
                                "await here"})
                  .empty());
}

TEST(StyleCheck, FindsSleepsInTestsOnly) {
  const std::string code =
      "std::this_thread::sleep_"
      "for(1s);";
  EXPECT_EQ(check_sleeps({"src/engine/a_test.cpp", code}).size(), 1U);
  EXPECT_EQ(check_sleeps({"tests/scenario/a_test.cpp", code}).size(), 1U);
  EXPECT_TRUE(check_sleeps({"tests/scenario/support/a.cpp", code}).empty());
  EXPECT_TRUE(check_sleeps({"src/server/clock.cpp", code}).empty());
}

TEST(StyleCheck, FindsMachinePaths) {
  EXPECT_EQ(check_machine_paths({"a.md",
                                 "see /wo"
                                 "rk/main/x"})
                .size(),
            1U);
  EXPECT_EQ(check_machine_paths({"a.sh",
                                 "HOME=/ro"
                                 "ot/x"})
                .size(),
            1U);
  EXPECT_TRUE(check_machine_paths({"a.md",
                                   "https://example.org/wo"
                                   "rk/x and net"
                                   "wo"
                                   "rk/x"})
                  .empty());
}

std::string function_of(std::size_t lines) {
  return "namespace a {\nint f(int x) {\n" + std::string(lines - 2, '\n') + "}\n}\n";
}

TEST(StyleCheck, FindsLongFunctions) {
  EXPECT_TRUE(check_functions({"a.cpp", function_of(kFunctionLinesMax)}).empty());
  EXPECT_EQ(check_functions({"a.cpp", function_of(kFunctionLinesMax + 1)}),
            Findings{"a.cpp:2: f has 71 lines"});
}

TEST(StyleCheck, MeasuresMethodsAndNotTheirClass) {
  const std::string gap(60, '\n');
  const std::string methods = "  void a() {" + gap + "}\n  void b() const {" + gap + "}\n";
  EXPECT_TRUE(check_functions({"a.cpp", "class C : public B<int> {\n" + methods + "};\n"}).empty());
  EXPECT_TRUE(check_functions({"a.cpp", "const char* t[] = {\n" + std::string(200, '\n') + "};\n"}).empty());
  EXPECT_EQ(check_functions({"a.cpp", "struct S {\n  S() : x_{1} {" + gap + gap + "}\n};\n"}).size(), 1U);
}

TEST(StyleCheck, IsNotConfusedByBracesInTextAndMacros) {
  const std::string tricky =
      "#define M(x) if (x) {\nauto s = \"{(\"; char c = '{'; int n = 1'000;\n/* ( { */\n";
  EXPECT_EQ(check_functions({"a.cpp", tricky + function_of(kFunctionLinesMax + 1)}).size(), 1U);
  EXPECT_TRUE(check_functions({"a.cpp", tricky + "auto r = R\"sql({(\n)sql\";\n" + function_of(9)}).empty());
}

}  // namespace
}  // namespace arch
