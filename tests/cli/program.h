// Runs the program as another process: arguments, standard input, limits and signals in; exit code
// and both outputs out.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "platform/scratch_folder.h"

namespace enxuto {

struct Outcome {
  int exit_code = -1;  // 128 + signal where a signal ended it
  std::string out, error;
};

struct Invocation {
  std::vector<std::string> arguments;
  std::string input = {};                     // standard input, a pipe
  std::string output_file = {};               // standard output goes here instead
  uint64_t most_file_bytes = 0;               // as a full disk: writes beyond it fail
  std::function<bool()> interrupt_when = {};  // sent the signal once this says so
  int signal = SIGINT;
  std::string cgroup = {};  // the folder of one that it joins
  int ranks = 0;            // processes, started by mpirun; 0: one, without it
};

Outcome run_program(const Invocation& invocation);
inline Outcome run_program(std::vector<std::string> arguments) {
  return run_program(Invocation{std::move(arguments)});
}

// Runs the program on a terminal of its own. Whenever what it printed ends with `prompt`, the next
// of `typed` is typed. out: all that the terminal shows.
Outcome run_on_terminal(const std::vector<std::string>& arguments, const std::string& prompt,
                        const std::vector<std::string>& typed);

std::string read_whole(const std::string& path);
uint64_t size_of(const std::string& path);

}  // namespace enxuto
