// A definition file of any bytes: read as JSON and as YAML, and what is accepted compiles. Nothing may crash,
// hang or eat memory, and every problem has a place in the file.
#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "flag/definition.h"

namespace flag = poundlock::flag;
namespace json = poundlock::json;
using poundlock::Disposition;
using poundlock::Error;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void read(std::string_view text, const char* file) {
  flag::Limits limits;
  limits.bytes_max = 1 << 16;
  limits.flags_max = 100;
  const auto definition = flag::parse_definition(text, file, limits);
  if (!definition) {
    require(definition.error().disposition == Disposition::kUser && definition.error().where.has_value());
    return;
  }
  require(definition->problems.size() <= flag::kProblemsMax);
  for (const Error& problem : definition->problems) require(problem.where && problem.where->line > 0);
  // The published form may be larger than what was written: references are replaced.
  limits.bytes_max = 64 << 20;
  const json::Object document{{"flags", definition->flags}};
  const auto snapshot = flag::Snapshot::compile(json::dump(document), "compiled", limits);
  require(snapshot.has_value());
  if (definition->problems.empty()) require((*snapshot)->problems().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read(text, "fuzz.json");
  read(text, "fuzz.yaml");
  return 0;
}
