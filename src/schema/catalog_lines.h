// A catalog as lines, one for each object, in which nothing is left that two equal schemas may differ in:
// what fingerprints, differences and the comparison of environments are made of. Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "schema/catalog.h"

namespace poundlock::schema {

struct CatalogLine {
  std::string head;    // "table public.orders: column legacy_status"
  std::string traits;  // "text NOT NULL"
  std::string kind;    // "column"
  std::string name;    // "legacy_status"; quoted; "" where `of` is name enough
  std::string of;      // "public.orders": what it goes away with; "" for what stands by itself

  std::string text() const { return traits.empty() ? head : head + ' ' + traits; }
  std::string object()
      const;  // "public.orders.legacy_status"; what is no column: "orders_pkey on public.orders"
  auto operator<=>(const CatalogLine&) const = default;
};

// Sorted by head and traits.
std::vector<CatalogLine> catalog_lines(const Catalog& catalog, const FingerprintOptions& options);

}  // namespace poundlock::schema
