// A migration file's bytes, its name's tool chosen by the first: read as its tool reads it, stripped of what
// is no SQL, linted and rendered. Nothing may crash, hang or eat memory, lines and columns lie in the file,
// and nothing that a file holds reaches a terminal as a control character.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lint/config.h"
#include "lint/render.h"
#include "migration/source_lint.h"
#include "migration/source_text.h"

namespace lint = poundlock::lint;
namespace migration = poundlock::migration;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const char choice = bytes.empty() ? '0' : bytes.front();
  bytes.remove_prefix(std::min<std::size_t>(1, bytes.size()));
  const std::string file = choice == 'V' ? "V1__a.sql" : choice == 'R' ? "R__a.sql" : "a.sql";
  const std::string_view conf = "executeInTransaction=false";
  std::vector<migration::Source> sources;
  lint::Report report = migration::lint_file(
      bytes, file, choice == 'C' ? std::optional(bytes) : std::optional(conf), {}, sources);
  migration::add_same_versions(sources, {&report, 1});
  const auto lines = 1 + std::count(bytes.begin(), bytes.end(), '\n');
  for (const lint::Finding& finding : report.findings) {
    require(finding.line >= 1 && finding.line <= lines && finding.column >= 1);
    require(std::pair(finding.line, finding.column) <= std::pair(finding.end_line, finding.end_column));
  }
  require(report.findings.size() <= lint::kFindingsMax + 2);
  const std::string text = lint::render_text({&report, 1}, false);
  require(std::none_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F;
  }));
  lint::render_json({&report, 1});
  lint::render_sarif({&report, 1}, "0");
  lint::render_junit({&report, 1});
  if (const auto plain = migration::utf8_text(bytes, file)) {
    const auto stripped = migration::plain_sql(*plain, migration::Tool::kPlain);
    require(std::count(stripped.sql.begin(), stripped.sql.end(), '\n') ==
            std::count(plain->begin(), plain->end(), '\n'));
    static_cast<void>(lint::parse_settings(*plain, file));
  }
  return 0;
}
