#include "ports/cells.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <cstdlib>

namespace poundlock::ports {

std::string to_text(const Cell& cell) {
  return cell.value_or(std::string());
}

bool to_bool(const Cell& cell) {
  return cell && (*cell == "t" || *cell == "true");
}

std::int64_t to_int(const Cell& cell, std::int64_t fallback) {
  if (!cell) return fallback;
  std::int64_t value = 0;
  const char* end = cell->data() + cell->size();
  const auto read = std::from_chars(cell->data(), end, value);
  return read.ec == std::errc() && read.ptr == end ? value : fallback;
}

double to_double(const Cell& cell, double fallback) {
  if (!cell || cell->empty()) return fallback;
  char* end = nullptr;
  const double value = std::strtod(cell->c_str(), &end);
  return *end == '\0' ? value : fallback;
}

char to_char(const Cell& cell, char fallback) {
  return cell && !cell->empty() ? cell->front() : fallback;
}

std::uint32_t to_oid(const Cell& cell) {
  return static_cast<std::uint32_t>(to_int(cell));
}

std::vector<std::string> to_names(const Cell& cell) {
  std::vector<std::string> names;
  if (!cell) return names;
  boost::system::error_code bad;
  const auto json = boost::json::parse(*cell, bad);
  if (bad || !json.is_array()) return names;
  for (const auto& item : json.get_array()) {
    if (item.is_string()) names.emplace_back(item.get_string().data(), item.get_string().size());
  }
  return names;
}

std::string array_literal(const std::vector<Cell>& items) {
  std::string out = "{";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    if (!item) {
      out += "NULL";
      continue;
    }
    out += '"';
    for (const char c : *item) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

std::string array_literal(const std::vector<std::string>& items) {
  return array_literal(std::vector<Cell>(items.begin(), items.end()));
}

}  // namespace poundlock::ports
