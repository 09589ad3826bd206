// How a verb registers itself with the command line. A verb is one file: it parses its options into a value
// that the callback keeps, and app.cpp names its add_ function. Only verbs that need nothing of the others
// include this; the parser is slow to compile and comes precompiled.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/context.h"

namespace poundlock::cli {

inline constexpr const char* kFile = "FILE";  // type of what is completed to files

// `formats`: what --output may say beside text and json.
CLI::App* add_verb(CLI::App& app, Context& context, const std::string& name, const std::string& help,
                   std::function<int()> verb, std::vector<std::string> formats = {});

// "90s", "15m", "72h"; a usage error otherwise.
CLI::Option* add_duration(CLI::App& app, const std::string& name, Millis& to, const std::string& help);

// One value each time it is given, so that it takes no word that stands behind it.
CLI::Option* add_each(CLI::App& app, const std::string& name, std::vector<std::string>& to,
                      const std::string& help);

}  // namespace poundlock::cli
