#include "program.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace enxuto {
namespace {

constexpr int kLongestSilence = 60'000;  // milliseconds, after which a program is taken to hang

struct Pipe {
  Pipe() { (void)!::pipe2(ends, O_CLOEXEC); }
  ~Pipe() { close_end(0), close_end(1); }
  void close_end(int end) {
    if (ends[end] >= 0) ::close(ends[end]);
    ends[end] = -1;
  }
  int ends[2] = {-1, -1};
};

[[noreturn]] void become(const std::vector<std::string>& texts) {
  std::vector<char*> arguments;
  for (const std::string& text : texts) arguments.push_back(const_cast<char*>(text.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

// OpenMPI passes messages by files in memory, which a limit of files' sizes would hit too.
void speak_without_files() {
  ::setenv("OMPI_MCA_btl", "self,tcp", 1);
  ::setenv("PMIX_MCA_gds", "hash", 1);
}

[[noreturn]] void become_program(const std::vector<std::string>& texts, int ranks = 0) {
  std::vector<std::string> all = {ENXUTO_PROGRAM};
  if (ranks > 0) {
    ::setenv("LSAN_OPTIONS", "detect_leaks=0", 1);  // OpenMPI never frees all that is its own
    all = {"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
           "-n",     std::to_string(ranks), ENXUTO_PROGRAM};
  }
  all.insert(all.end(), texts.begin(), texts.end());
  become(all);
}

void connect(const Invocation& invocation, const Pipe& in, const Pipe& out, const Pipe& error) {
  ::dup2(in.ends[0], 0);
  ::dup2(invocation.output_file.empty()
             ? out.ends[1]
             : ::open(invocation.output_file.c_str(), O_WRONLY | O_CREAT, 0644),
         1);
  ::dup2(error.ends[1], 2);
  if (!invocation.cgroup.empty()) std::ofstream(invocation.cgroup + "/cgroup.procs") << ::getpid();
  if (invocation.most_file_bytes) {
    const rlimit limit{invocation.most_file_bytes, invocation.most_file_bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
}

int exit_code_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void feed(int fd, const std::string& input) {
  size_t done = 0;
  while (done < input.size()) {
    const ssize_t put = ::write(fd, input.data() + done, input.size() - done);
    if (put <= 0) return;
    done += static_cast<size_t>(put);
  }
}

// A line editor shows its prompt a moment before it takes the terminal over: what is typed between
// the two reaches it in the terminal's own meaning, in which Ctrl-D is no character.
void wait_for_editor(int terminal) {
  termios mode{};
  for (int ms = 0; ms < kLongestSilence; ++ms) {
    if (::tcgetattr(terminal, &mode) != 0 || !(mode.c_lflag & ICANON)) return;
    ::usleep(1000);
  }
}

}  // namespace

Outcome run_program(const Invocation& invocation) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe in, out, error;
  const pid_t child = ::fork();
  if (child == 0) {
    connect(invocation, in, out, error);
    if (invocation.most_file_bytes) speak_without_files();
    become_program(invocation.arguments, invocation.ranks);
  }
  in.close_end(0), out.close_end(1), error.close_end(1);
  feed(in.ends[1], invocation.input);
  in.close_end(1);

  Outcome outcome;
  std::array<pollfd, 2> ready = {pollfd{out.ends[0], POLLIN, 0}, pollfd{error.ends[0], POLLIN, 0}};
  std::array<std::string*, 2> texts = {&outcome.out, &outcome.error};
  bool interrupted = false;
  while (ready[0].fd >= 0 || ready[1].fd >= 0) {
    ::poll(ready.data(), ready.size(), 2);
    if (!interrupted && invocation.interrupt_when && invocation.interrupt_when())
      interrupted = ::kill(child, invocation.signal) == 0;
    for (size_t i = 0; i < 2; ++i) {
      if (ready[i].fd < 0 || !ready[i].revents) continue;
      std::array<char, 4096> buffer;
      const ssize_t got = ::read(ready[i].fd, buffer.data(), buffer.size());
      if (got > 0)
        texts[i]->append(buffer.data(), static_cast<size_t>(got));
      else
        ready[i].fd = -1;
    }
  }
  outcome.exit_code = exit_code_of(child);
  return outcome;
}

Outcome run_on_terminal(const std::vector<std::string>& arguments, const std::string& prompt,
                        const std::vector<std::string>& typed) {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    ::setenv("TERM", "xterm", 1);
    become_program(arguments);
  }
  Outcome outcome;
  size_t next = 0, seen = 0;
  std::array<char, 4096> buffer;
  for (;;) {
    pollfd ready = {terminal, POLLIN, 0};
    if (::poll(&ready, 1, kLongestSilence) == 0) ::kill(child, SIGKILL);
    const ssize_t got = ::read(terminal, buffer.data(), buffer.size());
    if (got <= 0) break;
    outcome.out.append(buffer.data(), static_cast<size_t>(got));
    const size_t found = outcome.out.find(prompt, seen);
    if (found == std::string::npos || next == typed.size()) continue;
    seen = outcome.out.size();
    wait_for_editor(terminal);
    feed(terminal, typed[next++]);
  }
  ::close(terminal);
  outcome.exit_code = exit_code_of(child);
  return outcome;
}

std::string read_whole(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

uint64_t size_of(const std::string& path) { return std::filesystem::file_size(path); }

}  // namespace enxuto
