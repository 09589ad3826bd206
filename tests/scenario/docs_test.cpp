// The documentation, executed: every `sh` block of README and docs is run, in its order, by bash, in a folder
// of its own against a private PostgreSQL. What a page tells a newcomer to type works, or this fails.
//
// Five things are done for the reader: where a page says to name one's database, the test's is named; what
// runs in a terminal of its own (serve, watch) runs in the background; the port is any free one; `./dev`,
// which builds and tests, is only looked up in its own help (this very test runs under it); and `build` is
// where the programs under test are. Where a page says of an application "# prints: LINE", that is waited
// for.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "support/pg_cluster.h"

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;

struct Block {
  std::string language;
  std::size_t line = 0;  // of its first line, from 1
  std::vector<std::string> lines;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string read(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<Block> blocks_of(const std::string& text) {
  std::vector<Block> blocks;
  bool fenced = false;
  std::size_t number = 0;
  for (const auto& line : lines_of(text)) {
    ++number;
    if (line.starts_with("```")) {
      fenced = !fenced;
      if (fenced) blocks.push_back({line.substr(3), number + 1, {}});
    } else if (fenced) {
      blocks.back().lines.push_back(line);
    }
  }
  return blocks;
}

std::vector<fs::path> pages() {
  const fs::path top = POUNDLOCK_SOURCE_DIR;
  std::vector<fs::path> pages{top / "README.md", top / "CONTRIBUTING.md"};
  for (const auto& entry : fs::recursive_directory_iterator(top / "docs"))
    if (entry.path().extension() == ".md") pages.push_back(entry.path());
  return pages;
}

// Code in the running text, such as `poundlock flag list`.
std::vector<std::string> inline_commands(const std::string& page) {
  static const std::regex code("`((?:poundlock|\\./dev) [^`]+)`");
  std::vector<std::string> found;
  for (auto match = std::sregex_iterator(page.begin(), page.end(), code); match != std::sregex_iterator();
       ++match)
    found.push_back(match->str(1));
  return found;
}

struct Ran {
  int code = -1;
  std::string output;
};

Ran run(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1 </dev/null").c_str(), "r");
  if (!pipe) return {};
  Ran ran;
  std::array<char, 4096> buffer{};
  while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    ran.output.append(buffer.data(), got);
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return ran;
}

std::string poundlock() {
  return POUNDLOCK_BINARY_DIR "/poundlock";
}

// The verb is one that the program knows, and so is each long option.
void expect_known(const std::string& command, const std::string& where) {
  std::istringstream words(command);
  std::string program, verb, word;
  words >> program >> verb;
  if (program == "./dev") {
    static const std::string help = run(POUNDLOCK_SOURCE_DIR "/dev help").output;
    EXPECT_THAT(help, testing::ContainsRegex("\n  " + verb + "[ \n]")) << where << ": " << command;
    return;
  }
  std::string asked = poundlock() + " " + verb;
  if (verb == "flag" && words >> word) asked += " " + word;
  const Ran help = run(asked + " --help");
  EXPECT_EQ(help.code, 0) << where << ": " << command;
  while (words >> word) {
    if (!word.starts_with("--") || word == "--output") continue;
    EXPECT_THAT(help.output, testing::HasSubstr(word)) << where << ": " << command;
  }
}

// Sourced before a page's script; see the top of this file.
constexpr const char* kPrelude = R"sh(set -Eeuo pipefail
trap 'echo "$PAGE:$LINENO: this failed: $BASH_COMMAND" >&2' ERR
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
in_background() { "$@" >"background-$2.log" 2>&1 & }
watch() {
  in_background "$@"
  for _ in $(seq 300); do ! grep -q . background-watch.log || return 0; sleep 0.1; done
  return 1
}
serve() {
  in_background poundlock serve "$@"
  for _ in $(seq 600); do ! poundlock status >/dev/null 2>&1 || return 0; sleep 0.1; done
  cat background-serve.log >&2
  return 1
}
flag_server() {
  in_background poundlockd "$@"
  for _ in $(seq 600); do ! curl -sf "http://$LISTEN/readyz" >/dev/null || return 0; sleep 0.1; done
  cat background-*.log >&2
  return 1
}
app_prints() {
  for _ in $(seq 200); do [ "$(tail -n 1 app.log)" != "$1" ] || return 0; sleep 0.1; done
  cat app.log background-*.log >&2
  return 1
}
)sh";

bool replace(std::string& text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  if (at == std::string::npos) return false;
  text.replace(at, from.size(), to);
  return true;
}

// What bash gets for one page: its `sh` blocks, each line where the page has it, so that a failure's line
// number is the page's.
std::string script_of(const std::vector<Block>& blocks, int port) {
  const std::string listen = fmt::format("127.0.0.1:{}", port);
  std::string script;
  std::size_t number = 1;
  for (const auto& block : blocks) {
    if (block.language != "sh") continue;
    for (; number < block.line; ++number) script += '\n';
    for (std::string line : block.lines) {
      replace(line, "127.0.0.1:8016", listen);
      const std::string command = line.substr(0, line.find("  "));  // without its comment
      if (line.starts_with("./dev ")) line = "true";
      if (line.starts_with("export DATABASE_URL=")) line = "true";
      if (line.starts_with("poundlock serve")) line = command.substr(std::string_view("poundlock ").size());
      if (line.starts_with("poundlockd ") && line.ends_with(" &"))
        line = "LISTEN=" + listen + " flag_server " + line.substr(11, line.size() - 13) + " --http " +
               listen + " --management 127.0.0.1:0 --grpc-eval 127.0.0.1:0 --grpc-sync 127.0.0.1:0";
      replace(line, "--install build ", "--install " POUNDLOCK_BINARY_DIR " ");
      if (line.starts_with("poundlock watch")) line = "watch " + command;
      if (line.starts_with("poundlock init"))
        line = command + "; sed -i s/127.0.0.1:8016/" + listen + "/ poundlock.yaml";
      if (const auto claim = line.find("# prints: "); claim != std::string::npos) {
        const bool starts = command.ends_with(" &");
        const std::string says = line.substr(claim + std::string_view("# prints: ").size());
        line = starts ? command.substr(0, command.size() - 1) + ">app.log 2>&1 &" : command + ';';
        line += " app_prints '" + says + "'";
      }
      script += line + '\n';
      ++number;
    }
  }
  return script;
}

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool known = ::bind(socket, generic, size) == 0 && ::getsockname(socket, generic, &size) == 0;
  ::close(socket);
  EXPECT_TRUE(known);
  return ntohs(address.sin_port);
}

class DocsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = PgCluster::start();
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = std::move(*started);
    std::string name = (fs::temp_directory_path() / "poundlock-docs-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }

  ports::Rows must(const std::string& sql) {
    auto session = cluster_->database()->connect();
    EXPECT_TRUE(session) << session.error().to_string();
    auto done = session ? (*session)->run(sql, {}) : Result<ports::Rows>(fail(session.error()));
    EXPECT_TRUE(done) << done.error().to_string();
    return done ? std::move(*done) : ports::Rows{};
  }
  std::string value(const std::string& sql) {
    const auto rows = must(sql);
    return rows.rows.empty() ? "nothing" : rows.rows[0][0].value_or("<null>");
  }
  // Runs what the page says, in a folder of its own.
  Ran follow(const std::string& page) {
    const auto blocks = blocks_of(read(fs::path(POUNDLOCK_SOURCE_DIR) / page));
    std::ofstream(folder_ / "page.sh") << script_of(blocks, free_port());
    std::ofstream(folder_ / "prelude.sh") << kPrelude;
    const std::string url = fmt::format("postgresql://app@127.0.0.1:{}/app", cluster_->port());
    return run(
        fmt::format("cd {0} && PATH={1}:$PATH HOME={0} DATABASE_URL={2} PAGE={3} "
                    "timeout --kill-after=10 400 bash -c '. ./prelude.sh; . ./page.sh'",
                    folder_.string(), POUNDLOCK_BINARY_DIR, url, page));
  }

  std::unique_ptr<PgCluster> cluster_;
  fs::path folder_;
};

TEST_F(DocsTest, GettingStartedWorksAsItStands) {
  const Ran ran = follow("docs/getting-started.md");
  EXPECT_EQ(ran.code, 0) << ran.output;
  // The index stays; what was begun for the column is gone.
  EXPECT_EQ(value("SELECT count(*) FROM pg_indexes WHERE indexname = 'idx_orders_customer'"), "1");
  EXPECT_EQ(value("SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute"
                  " WHERE attrelid = 'public.orders'::regclass AND attnum > 0 AND NOT attisdropped"),
            "id customer_id legacy_status");
  EXPECT_EQ(value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.orders'::regclass"), "0");
}

TEST_F(DocsTest, ThePageOnServingFlagsWorksAsItStands) {
  const Ran ran = follow("docs/how-to/serve-flags.md");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, testing::HasSubstr("\"key\":\"new-ui\"")) << "OFREP has answered";
  EXPECT_THAT(ran.output, testing::HasSubstr("bucket")) << "the percentage is explained";
  EXPECT_THAT(read(folder_ / "override.json"), testing::HasSubstr("\"new-ui\""));
  EXPECT_THAT(read(folder_ / "all.json"), testing::HasSubstr("\"new-ui\""));
}

TEST_F(DocsTest, TheReadmeWorksAsItStands) {
  must("CREATE TABLE public.orders (id bigint PRIMARY KEY, legacy_status varchar(32))");
  must("INSERT INTO public.orders SELECT i, 'st_' || i % 100 FROM generate_series(1, 1000) i");
  fs::create_directories(folder_ / "migrations");
  std::ofstream(folder_ / "migrations/V1__note.sql") << "SET lock_timeout = '50ms';\n"
                                                        "SET statement_timeout = '5s';\n"
                                                        "ALTER TABLE orders ADD COLUMN note text;\n";
  const Ran ran = follow("README.md");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(read(folder_ / "background-watch.log"), testing::HasSubstr("running: prepare"));
}

TEST_F(DocsTest, TheClientsPageWorksAsItStands) {
  const Ran ran = follow("docs/how-to/use-the-cpp-client.md");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(read(folder_ / "app.log"),
            "Good to see you (warm, TARGETING_MATCH)\n"
            "Welcome back (warm, TARGETING_MATCH)\n"
            "Hello (plain, OVERRIDE)\n"
            "Welcome back (warm, TARGETING_MATCH)\n"
            "Bye\n");
  EXPECT_TRUE(fs::exists(folder_ / "out/app"));
}

// The published examples that must never be run as they stand come out right.
TEST_F(DocsTest, ThePageOnPlansWorksAsItStands) {
  const Ran ran = follow("docs/how-to/plan-from-sql.md");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, testing::HasSubstr("ALTER TABLE orders ADD COLUMN new_status VARCHAR(32) "));
  EXPECT_THAT(
      ran.output,
      testing::HasSubstr("INSERT INTO orders (id, legacy_status, new_status) VALUES (1, 'paid', 'paid');"));
  const std::string contract = read(folder_ / "contract.json");
  EXPECT_THAT(contract, testing::HasSubstr("VACUUM (ANALYZE, TRUNCATE false) orders"));
  EXPECT_THAT(contract, testing::Not(testing::HasSubstr("\"sql\":\"VACUUM FULL")));
  // What was written runs, statement by statement, and leaves what the guide wanted.
  must("CREATE TABLE public.orders (id bigint PRIMARY KEY, legacy_status varchar(32))");
  must("INSERT INTO public.orders SELECT i, 'paid' FROM generate_series(1, 1000) i");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_ / "migrations"))
    if (entry.path().extension() == ".sql" && entry.path().filename().string()[0] == 'V')
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files.size(), 2U);
  for (int round = 0; round < 2; ++round) {
    for (const auto& file : files) {
      if (round == 1 && !fs::exists(file.string() + ".conf")) continue;  // what is in no history is run again
      const bool one = !fs::exists(file.string() + ".conf");
      const Ran applied = run(fmt::format("/usr/bin/psql -X -v ON_ERROR_STOP=1 {} -f {} '{}'",
                                          one ? "-1" : "", file.string(), cluster_->conninfo()));
      EXPECT_EQ(applied.code, 0) << file << ": " << applied.output;
    }
  }
  EXPECT_EQ(value("SELECT count(*) FROM public.orders WHERE new_status = 'pending'"), "1000");
  EXPECT_EQ(value("SELECT indisvalid::text FROM pg_index WHERE indexrelid = "
                  "'public.idx_orders_new_status'::regclass"),
            "true");
}

// Pages whose commands nobody runs, because they build and test Poundlock itself.
TEST(Docs, EveryCommandInABlockIsRunOrKnown) {
  std::size_t run_somewhere = 0;
  for (const auto& page : pages()) {
    const std::string name = fs::relative(page, POUNDLOCK_SOURCE_DIR).string();
    const bool followed =
        name == "README.md" || name == "docs/getting-started.md" || name == "docs/how-to/serve-flags.md" ||
        name == "docs/how-to/use-the-cpp-client.md" || name == "docs/how-to/plan-from-sql.md";
    for (const auto& block : blocks_of(read(page))) {
      for (std::size_t i = 0; i < block.lines.size(); ++i) {
        const auto& line = block.lines[i];
        const std::string where = fmt::format("{}:{}", name, block.line + i);
        if (line.starts_with("./dev ")) expect_known(line.substr(0, line.find("  ")), where);
        if (!line.starts_with("poundlock ")) continue;
        EXPECT_TRUE(followed && block.language == "sh") << where << ": nothing runs this command";
        ++run_somewhere;
      }
    }
  }
  EXPECT_GT(run_somewhere, 15U);
}

TEST(Docs, EveryCommandInTheTextIsKnown) {
  std::size_t found = 0;
  for (const auto& page : pages()) {
    for (const auto& command : inline_commands(read(page))) {
      expect_known(command, fs::relative(page, POUNDLOCK_SOURCE_DIR).string());
      ++found;
    }
  }
  EXPECT_GT(found, 10U);
}

}  // namespace
}  // namespace poundlock::scenario
