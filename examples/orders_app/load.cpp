#include "orders_app/load.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace orders {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kErrorsLoggedMax = 10'000;
constexpr int kStatuses = 1'000;

bool number(const std::string& text, int& target) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 0 || value > 1'000'000) return false;
  target = static_cast<int>(value);
  return true;
}

bool apply(Options& options, const std::string& name, const std::string& value) {
  struct Text {
    const char* name;
    std::string* target;
  };
  struct Number {
    const char* name;
    int* target;
  };
  const Text texts[] = {{"--dsn", &options.dsn},
                        {"--server", &options.server},
                        {"--flag", &options.flag},
                        {"--token", &options.token},
                        {"--build", &options.build},
                        {"--instance", &options.instance},
                        {"--journal", &options.journal},
                        {"--fault-file", &options.fault_file},
                        {"--stats-file", &options.stats_file},
                        {"--override-file", &options.override_file},
                        {"--cache-file", &options.cache_file}};
  const Number numbers[] = {{"--readers", &options.readers},
                            {"--writers", &options.writers},
                            {"--rate", &options.rate},
                            {"--seconds", &options.seconds}};
  for (const Text& text : texts) {
    if (name == text.name) return *text.target = value, true;
  }
  for (const Number& one : numbers) {
    if (name == one.name) return number(value, *one.target);
  }
  return false;
}

}  // namespace

bool parse_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--no-legacy-path") {
      options.legacy_path = false;
    } else if (i + 1 >= argc || !apply(options, name, argv[++i])) {
      std::fprintf(stderr,
                   "orders_app: cannot use '%s'\n"
                   "usage: orders_app --dsn DSN [--server URL] [--flag KEY] [--token T]\n"
                   "  [--readers N] [--writers N] [--rate N] [--seconds N] [--build NAME]\n"
                   "  [--instance NAME] [--no-legacy-path] [--journal DIR] [--fault-file FILE]\n"
                   "  [--stats-file FILE] [--override-file FILE] [--cache-file FILE]\n",
                   name.c_str());
      return false;
    }
  }
  if (!options.dsn.empty()) return true;
  std::fprintf(stderr, "orders_app: --dsn is missing, for instance --dsn 'host=/tmp dbname=app'\n");
  return false;
}

Load::Load(Options options) : options_(std::move(options)) {
  // Blocked in every thread, taken by run(): a statement under way is finished, not interrupted.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void Load::user_error(const char* what, const std::string& message) {
  ++stats_.user_errors;
  if (options_.stats_file.empty()) return;
  std::lock_guard lock(errors_mutex_);
  if (++errors_logged_ > kErrorsLoggedMax) return;
  std::ofstream(options_.stats_file + ".errors", std::ios::app) << what << ": " << message << '\n';
}

void Load::work(const Step& step, double per_second) {
  const auto pace = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(per_second > 0 ? 1.0 / per_second : 1.0));
  auto next = Clock::now();
  while (!stopping()) {
    step();
    // Behind by a second, after a stall: what was missed is not made up for in a burst.
    next = std::max(next + pace, Clock::now() - std::chrono::seconds(1));
    while (!stopping() && Clock::now() < next) {
      const Clock::duration left = next - Clock::now();
      std::this_thread::sleep_for(std::min<Clock::duration>(left, std::chrono::milliseconds(100)));
    }
  }
}

void Load::tick() {
  if (!options_.fault_file.empty()) {
    std::string word;
    std::ifstream(options_.fault_file) >> word;
    fault_.store(word == "slow" ? Fault::kSlow : word == "fail" ? Fault::kFail : Fault::kNone);
  }
}

void Load::write_stats() {
  if (options_.stats_file.empty()) return;
  const std::string beside = options_.stats_file + ".tmp";
  {
    std::ofstream out(beside, std::ios::trunc);
    const auto field = [&](const char* name, const std::atomic<std::uint64_t>& value) {
      out << '"' << name << "\": " << value.load() << ", ";
    };
    out << '{';
    field("statements", stats_.statements);
    field("errors", stats_.errors);
    field("user_errors", stats_.user_errors);
    field("fallbacks", stats_.fallbacks);
    field("excluded_context_reads_new", stats_.excluded_context_reads_new);
    field("reads_legacy", stats_.reads_legacy);
    field("reads_new", stats_.reads_new);
    field("writes_legacy", stats_.writes_legacy);
    field("writes_new", stats_.writes_new);
    field("writes_acknowledged", stats_.writes_acknowledged);
    field("injected_faults", stats_.injected_faults);
    out << "\"pid\": " << ::getpid();
    out << ", \"legacy_path\": " << (options_.legacy_path ? "true" : "false") << "}\n";
  }
  (void)std::rename(beside.c_str(), options_.stats_file.c_str());
}

void Load::run(const std::function<Step(int)>& reader, const std::function<Step(int)>& writer) {
  const int threads = options_.readers + options_.writers;
  const double each = threads > 0 ? static_cast<double>(options_.rate) / threads : 0;
  std::vector<std::thread> running;
  tick();
  for (int i = 0; i < options_.readers; ++i) running.emplace_back([&, i] { work(reader(i), each); });
  for (int i = 0; i < options_.writers; ++i) running.emplace_back([&, i] { work(writer(i), each); });
  const auto end = Clock::now() + std::chrono::seconds(options_.seconds);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  auto next_stats = Clock::now();
  while (options_.seconds == 0 || Clock::now() < end) {
    const timespec wait{0, 100'000'000};
    if (sigtimedwait(&signals, nullptr, &wait) > 0) break;
    tick();
    if (Clock::now() < next_stats) continue;
    write_stats();
    next_stats = Clock::now() + std::chrono::seconds(1);
  }
  stopping_.store(true);
  for (std::thread& thread : running) thread.join();
  write_stats();
}

int random_below(std::minstd_rand& random, int end) {
  return std::uniform_int_distribution<int>(0, end - 1)(random);
}

std::string random_status(std::minstd_rand& random) {
  char text[16];
  std::snprintf(text, sizeof text, "st_%03d", random_below(random, kStatuses));
  return text;
}

}  // namespace orders
