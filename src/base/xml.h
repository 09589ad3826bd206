// Text for JUnit reports. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace poundlock {

// For an element's content and for an attribute between double quotes, by XML 1.0 (2.2, 2.4, 3.3.3): an
// attribute's line breaks and tabs would be read as spaces, and control characters make a file that no parser
// takes: each becomes a ?. The text is UTF-8 and stays so.
std::string xml_escaped(std::string_view text);

}  // namespace poundlock
