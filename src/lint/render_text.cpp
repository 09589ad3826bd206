#include <fmt/format.h>

#include <algorithm>

#include "lint/render.h"
#include "schema/text.h"

namespace poundlock::lint {
namespace {

constexpr std::size_t kWrapColumns = 96;

struct Palette {
  const char* bold = "";
  const char* red = "";
  const char* yellow = "";
  const char* dim = "";
  const char* green = "";
  const char* end = "";
};
constexpr Palette kColour{"\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[32m", "\x1b[0m"};

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// Tabs become one space, so that what is underlined stands above its line; other control characters '?'.
std::string plain(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\t' || c == '\r' || c == '\n')
      c = ' ';
    else if (byte < 0x20 || byte == 0x7F)
      c = '?';
  }
  return out;
}

void wrap(std::string& out, std::string_view label, std::string_view text) {
  out += fmt::format("   {:>7}: ", label);
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (column > 0 && column + word.size() + 1 > kWrapColumns) {
      out += "\n            ";
      column = 0;
    }
    if (column > 0) out += ' ';
    out += plain(word);
    column += word.size() + 1;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  out += '\n';
}

void indented(std::string& out, std::string_view label, std::string_view text) {
  bool first = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += first ? fmt::format("   {:>7}: ", label) : std::string(12, ' ');
    out += plain(text.substr(0, end)) + '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
    first = false;
  }
}

void render(std::string& out, const Finding& finding, const Palette& paint) {
  const bool error = finding.severity == Severity::kError;
  out += fmt::format("{}{}:{}:{}:{} {}{}{}: {}{} [{}]\n", paint.bold, plain(finding.file), finding.line,
                     finding.column, paint.end, error ? paint.red : paint.yellow, to_string(finding.severity),
                     paint.end, finding.title,
                     finding.detail.empty() ? "" : " (" + plain(finding.detail) + ")", finding.rule);
  const std::string line = plain(finding.source_line);
  const std::size_t width = characters(line);
  const auto from = std::min(static_cast<std::size_t>(std::max(1, finding.column)) - 1, width);
  // Text that goes on in the next line is underlined to this line's end.
  const std::size_t to =
      finding.end_line > finding.line ? width : static_cast<std::size_t>(std::max(1, finding.end_column)) - 1;
  const std::size_t length = std::max<std::size_t>(1, std::clamp(to, from, width) - from);
  out += fmt::format("{}{:>6} |{} {}\n", paint.dim, finding.line, paint.end, line);
  out += fmt::format("{}       |{} {}{}{}{}\n", paint.dim, paint.end, std::string(from, ' '),
                     error ? paint.red : paint.yellow, std::string(length, '^'), paint.end);
  wrap(out, "why", finding.reason);
  if (finding.seconds)
    wrap(out, "lasts", fmt::format("about {} ({})", duration_text(*finding.seconds), finding.basis));
  wrap(out, "instead", finding.fix);
  if (!finding.rewrite.empty()) {
    out += paint.green;
    indented(out, "as", finding.rewrite);
    out += paint.end;
  }
  out += '\n';
}

const char* plural(std::size_t count) {
  return count == 1 ? "" : "s";
}

}  // namespace

std::string duration_text(double seconds) {
  if (seconds < 0.1) return "0.1 s or less";
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  if (seconds < 6000) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.0f} h", seconds / 3600);
}

std::string render_text(std::span<const Report> reports, bool colour) {
  const Palette paint = colour ? kColour : Palette{};
  std::string out;
  std::size_t errors = 0;
  std::size_t warnings = 0;
  std::size_t statements = 0;
  for (const Report& report : reports) {
    for (const Finding& finding : report.findings) render(out, finding, paint);
    for (const Ignored& ignored : report.ignored)
      out += fmt::format("{}{}:{}: {} ignored: {}{}\n", paint.dim, plain(report.file), ignored.finding.line,
                         ignored.finding.rule, plain(ignored.why), paint.end);
    if (report.truncated)
      out += fmt::format("{}: more findings than the {} shown\n", plain(report.file), kFindingsMax);
    errors += report.errors();
    warnings += report.warnings();
    statements += report.statements;
  }
  if (errors + warnings == 0)
    return out + fmt::format("{}no finding{} in {} statement{}\n", paint.green, paint.end, statements,
                             plural(statements));
  return out + fmt::format("{} error{}, {} warning{} in {} statement{}\n", errors, plural(errors), warnings,
                           plural(warnings), statements, plural(statements));
}

}  // namespace poundlock::lint
