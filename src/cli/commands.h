// The verbs: each takes what the command line said, prints, and answers the exit code (0 done, 1 a gate or
// check said no, 2 usage, 3 cannot reach something, 4 conflict, 70 a fault of ours). None throws. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"

namespace CLI {
class App;
}

namespace poundlock::cli {

// --- files and databases, without a server ---------------------------------------------------------

int init_command(Context& context, bool force);

// Verbs that register themselves, each in a file of its own.
void add_dry_run(CLI::App& app, Context& context);
void add_lint(CLI::App& app, Context& context);
void add_plan(CLI::App& app, Context& context);
void add_paths(CLI::App& app, Context& context);
void add_rehearse(CLI::App& app, Context& context);
void add_parity(CLI::App& app, Context& context);
void add_verify(CLI::App& app, Context& context);

struct DoctorArguments {
  std::string rollout;   // file whose tables are looked at; "" for all
  std::string database;  // a name of poundlock.yaml
  std::string database_url;
  bool grants = false;  // print the GRANT script and nothing else
};
int doctor_command(Context& context, const DoctorArguments& arguments);

// --- rollouts --------------------------------------------------------------------------------------

struct StartArguments {
  std::string file;
  double speed = 1;
  bool wait = false;
  Millis limit{0};  // of the wait; 0: none
};
int start_command(Context& context, const StartArguments& arguments);

int status_command(Context& context, const std::string& name);  // "": all
int watch_command(Context& context, const std::string& name);   // "": the only one under way

struct OrderArguments {
  std::string verb;  // promote, pause, resume, rollback, approve, abort
  std::string name;
  std::string subject;
  std::string why;
  bool wait = false;  // rollback only
  Millis limit{60'000};
};
int order_command(Context& context, const OrderArguments& arguments);

// --- flags, audit, server --------------------------------------------------------------------------

struct FlagListArguments {
  std::string match;  // part of the key; "" for all
  std::string owner;  // a rollout; "plain": of none
  std::string state;  // ENABLED, DISABLED
};
int flag_list_command(Context& context, const FlagListArguments& arguments);
int flag_get_command(Context& context, const std::string& key);
struct FlagSetArguments {
  std::string key;
  std::string variant;
  std::string definition;  // JSON, or @FILE
  std::string why;
};
int flag_set_command(Context& context, const FlagSetArguments& arguments);
// A plain boolean flag, for everybody: its rule stays, and counts again once the default is set back.
int flag_switch_command(Context& context, const FlagSetArguments& arguments, bool on);
// A flag that was set by hand; those of files and of rollouts are refused.
int flag_delete_command(Context& context, const FlagSetArguments& arguments);
// Takes back what was set by hand over a file's flag.
int flag_reset_command(Context& context, const FlagSetArguments& arguments);
struct FlagEvalArguments {
  std::string key;
  std::string targeting_key;
  std::vector<std::string> attributes;  // NAME=VALUE, or a JSON object
  std::vector<std::string> files;       // evaluated without a server
  bool explain = false;
};
int flag_eval_command(Context& context, const FlagEvalArguments& arguments);
int flag_validate_command(Context& context, const std::vector<std::string>& files);
// Until every reader is known to have the flag as it is now; 1 after `limit`.
int flag_wait_command(Context& context, const std::string& key, Millis limit);
int flag_status_command(Context& context, const std::string& key);
int flag_stale_command(Context& context, int days);
struct FlagImportArguments {
  std::string from;  // flagd, launchdarkly
  std::string file;
  std::string why;
  std::string environment;  // of LaunchDarkly's export
  bool partial = false;     // leave out what cannot be translated
  bool dry_run = false;     // print the definitions, send nothing
};
int flag_import_command(Context& context, const FlagImportArguments& arguments);
int flag_export_command(Context& context, const std::string& file);  // "": standard output

struct KillArguments {
  std::string subject;  // a flag or a rollout
  std::string rollout;  // or this one
  std::string why;
  bool offline = false;
  std::string override_file, flagd_file;
  std::vector<std::string> flags;  // files that may define the flag
  bool wait = false;
  Millis limit{60'000};
};
int kill_command(Context& context, const KillArguments& arguments);

struct AuditArguments {
  std::string subject;
  int limit = 50;
  bool verify = false;
};
int audit_command(Context& context, const AuditArguments& arguments);

// Becomes poundlockd, which lies beside this program; comes back only when that fails.
int serve_command(Context& context, const std::vector<std::string>& arguments);

struct SimulateArguments {
  std::uint64_t seed = 1;
  std::uint64_t runs = 1;
  std::string faults = "all";  // none, or names with commas between; the program beside this one knows them
  bool trace = false;
};
// Becomes poundlock-sim, which lies beside this program; comes back only when that fails.
int simulate_command(Context& context, const SimulateArguments& arguments);

// Registers `demo`; defined in src/cli/demo. As every verb does, its callback sets context.verb.
void add_demo(CLI::App& app, Context& context);

}  // namespace poundlock::cli
