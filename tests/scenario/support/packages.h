// Packages of other languages for tests against real clients, installed below the build folder, once for each
// content of their lock file. An error says why a test is skipped: no toolchain, or no registry.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace poundlock::scenario {

using Packages = tl::expected<std::string, std::string>;

// A folder with `source`'s files and node_modules. Needs Node 20 and npm.
Packages node_packages(const std::string& name, const std::string& source);
// A virtual environment with `source`/requirements.txt: bin/python in it.
Packages python_packages(const std::string& name, const std::string& source);
// A folder with the jars of `source`/pom.xml: lib/* in it. Needs a JDK of 17 and Maven.
Packages java_packages(const std::string& name, const std::string& source);
// The program that `source` is compiled to, with the modules of its go.sum. Needs Go 1.24.
Packages go_program(const std::string& name, const std::string& source);
// The folder of initdb and postgres of a newer PostgreSQL than the system's, from Maven's binaries for Linux
// on amd64. It has no client programs (pg_dump). Needs a JDK of 17 and Maven.
Packages newer_postgres();

}  // namespace poundlock::scenario
