#include "schema/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "schema/catalog_lines.h"
#include "schema/text.h"

namespace poundlock::schema {
namespace {

constexpr std::size_t kDifferencesMax = 1'000;

template <typename T>
const T* find_named(const std::vector<T>& items, std::string_view name) {
  const auto found = std::ranges::find(items, name, &T::name);
  return found == items.end() ? nullptr : &*found;
}

}  // namespace

const Column* Table::column(std::string_view column_name) const {
  return find_named(columns, column_name);
}
const Index* Table::index(std::string_view index_name) const {
  return find_named(indexes, index_name);
}
const Constraint* Table::constraint(std::string_view constraint_name) const {
  return find_named(constraints, constraint_name);
}
const Trigger* Table::trigger(std::string_view trigger_name) const {
  return find_named(triggers, trigger_name);
}

const Table* Catalog::table(const QualifiedName& wanted) const {
  const Table* only = nullptr;
  int candidates = 0;
  for (const Table& candidate : tables) {
    if (candidate.name != wanted.name) continue;
    if (candidate.schema == (wanted.schema.empty() ? "public" : wanted.schema)) return &candidate;
    if (!wanted.schema.empty()) continue;
    only = &candidate;
    ++candidates;
  }
  return candidates == 1 ? only : nullptr;
}

Fingerprint fingerprint(const Catalog& catalog, const FingerprintOptions& options) {
  Fingerprint print;
  for (const CatalogLine& line : catalog_lines(catalog, options)) print.text += line.text() + '\n';
  print.hash = hash_hex(print.text);
  return print;
}

std::vector<std::string> difference(const Catalog& a, const Catalog& b, const FingerprintOptions& options) {
  const auto left = catalog_lines(a, options);
  const auto right = catalog_lines(b, options);
  std::vector<CatalogLine> only_left;
  std::vector<CatalogLine> only_right;
  std::ranges::set_difference(left, right, std::back_inserter(only_left));
  std::ranges::set_difference(right, left, std::back_inserter(only_right));
  // By object and not by sign: what changed stands side by side, a before b.
  std::vector<std::string> lines;
  auto r = only_right.begin();
  for (const CatalogLine& line : only_left) {
    for (; r != only_right.end() && r->head < line.head; ++r) lines.push_back("+ " + r->text());
    lines.push_back("- " + line.text());
  }
  for (; r != only_right.end(); ++r) lines.push_back("+ " + r->text());
  if (lines.size() > kDifferencesMax) {
    const std::size_t left_out = lines.size() - kDifferencesMax + 1;
    lines.resize(kDifferencesMax - 1);
    lines.push_back(fmt::format("... and {} more", left_out));
  }
  return lines;
}

}  // namespace poundlock::schema
