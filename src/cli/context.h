// What every verb works with: where output goes, how it looks, and what the global options said. One thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cli/colour.h"
#include "ports/database.h"
#include "rollout/config.h"

namespace poundlock::cli {

struct Context {
  std::ostream& out;
  std::ostream& err;
  Clock& clock;
  rollout::Lookup environment_variable;
  std::filesystem::path directory;  // the working directory; poundlock.yaml is looked for from here upward
  std::filesystem::path program;    // this executable; poundlockd lies beside it
  bool terminal = false;            // standard output is one
  int width = 0;                    // of the terminal in cells; 0: unknown
  int height = 0;
  bool utf8 = false;

  // Global options.
  std::string config;           // --config; "" to look for poundlock.yaml
  std::string environment;      // "" for the default one
  std::string server;           // --server
  std::string token_file;       // --token-file
  std::string who;              // --who; "" for $USER
  std::string output = "text";  // --output; beside text and json what `formats` says
  bool json = false;            // --output json
  bool colour = false;

  // What the command line chose: set while it is parsed, run afterwards; answers the exit code.
  std::function<int()> verb;
  std::vector<std::string> formats;  // of --output that this verb writes beside text and json

  Paint paint() const { return Paint(colour && !json); }
};

// poundlock.yaml as it was found.
struct Site {
  rollout::Config config;
  std::filesystem::path file;
  std::filesystem::path folder() const { return file.parent_path(); }
  std::filesystem::path resolve(const std::string& path) const;  // relative to the file's folder
};

// nullopt: --config was not given and no poundlock.yaml lies here or above.
Result<std::optional<Site>> find_site(const Context& context);
Result<Site> need_site(const Context& context);  // and then a user error "config.file"

std::string who_of(const Context& context);

// A file that a person named: at most 1 MiB, or as told; kUser "file.read" with the reason. "-" is standard
// input.
Result<std::string> read_file(const Context& context, const std::string& path);
Result<std::string> read_file(const Context& context, const std::string& path, std::size_t bytes_max);

// In place of what is there, at once or not at all. kUser "file.write".
Status write_file(const Context& context, const std::string& path, std::string_view text);

// A connection as written in poundlock.yaml, with the password of its file.
Result<std::unique_ptr<ports::Database>> open_connection(const Site& site,
                                                         const rollout::Connection& connection);
// The database of that name in the chosen environment, or the one that `url` names where it is not "".
Result<std::unique_ptr<ports::Database>> open_database(const Context& context, const std::string& url,
                                                       const std::string& database);

// Prints the error on standard error (message, place, what to try), and as {"error": ...} on standard output
// with --output json. Answers the exit code.
int report(Context& context, const Error& error);
boost::json::object error_json(const Error& error);

// One JSON value and a line end on standard output.
void print_json(Context& context, const boost::json::value& value);

// One line of text; control characters that a server or a file put into it are taken out by the caller.
void say(Context& context, std::string_view line);

}  // namespace poundlock::cli
