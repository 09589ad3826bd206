#include "rollout/question_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace poundlock::rollout {

std::string text_array(const std::vector<std::string>& values) {
  std::string out = "{";
  for (const std::string& value : values) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

std::vector<schema::QualifiedName> tables_of(const Plan& plan) {
  std::vector<schema::QualifiedName> out;
  for (const auto* side : {&plan.legacy, &plan.fresh}) {
    for (const change::ColumnRef& column : *side) {
      schema::QualifiedName table{column.schema, column.table};
      if (std::find(out.begin(), out.end(), table) == out.end()) out.push_back(std::move(table));
    }
  }
  return out;
}

std::vector<std::optional<std::string>> table_params(const Plan& plan) {
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  for (const auto& table : tables_of(plan)) {
    schemas.push_back(table.schema);
    names.push_back(table.name);
  }
  return {text_array(schemas), text_array(names)};
}

std::optional<double> number_in(const std::optional<std::string>& cell) {
  if (!cell) return std::nullopt;
  if (*cell == "t") return 1;
  if (*cell == "f") return 0;
  double value = 0;
  const char* end = cell->data() + cell->size();
  const auto [at, error] = std::from_chars(cell->data(), end, value);
  if (error != std::errc() || at != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::vector<change::InStep> in_steps_of(const Plan& plan) {
  std::vector<change::InStep> out;
  for (const Item& item : plan.items) {
    if (!item.step || !item.step->in_step) continue;
    const bool known = std::any_of(out.begin(), out.end(), [&](const change::InStep& one) {
      return one.table == item.step->in_step->table && one.out_of_step == item.step->in_step->out_of_step;
    });
    if (!known) out.push_back(*item.step->in_step);
  }
  return out;
}

std::string name_list(const std::vector<std::string>& names, std::size_t shown) {
  std::string out;
  for (std::size_t i = 0; i < std::min(shown, names.size()); ++i) out += (i ? ", " : "") + names[i];
  if (names.size() > shown) out += fmt::format(" and {} more", names.size() - shown);
  return out;
}

}  // namespace poundlock::rollout
