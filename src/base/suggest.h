// "Did you mean ...?": the known name that is nearest to a misspelt one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace poundlock {

// Edits (insert, delete, replace, swap of two neighbours) that turn one word into the other: the
// restricted Damerau-Levenshtein distance. Stops counting above `limit` and answers limit + 1.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit);

// The candidate within a third of the word's length (1 to 3 edits); the first of equals. Empty where
// none is that near: a far-fetched suggestion misleads more than none.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);
std::string_view nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace poundlock
