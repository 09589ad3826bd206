// Other evaluators, run by flag_bench on its own flags and contexts. What they need is installed below the
// build folder at the first run, by npm and go from their registries; a peer whose toolchain or registry is
// not there is skipped with the reason.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace poundlock::bench {

struct Peer {
  std::string name;
  std::string skipped;                                       // why; empty where it ran
  double static_ns = 0, targeted_ns = 0, percentage_ns = 0;  // CPU time of one evaluation, one thread
  std::size_t in = 0;                                        // contexts that the percentage rule lets in
};

// `flags` is a flagd definition with the flags fixed, targeted and percentage; `contexts` a JSON list of
// objects, its size a power of two. Takes minutes at the first run.
std::vector<Peer> run_peers(const std::string& flags, const std::string& contexts, std::size_t evaluations);

}  // namespace poundlock::bench
