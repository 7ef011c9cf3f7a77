#include "platform/interrupt.h"

#include <unistd.h>

#include <climits>
#include <csignal>

#include "platform/limit_watch.h"

namespace enxuto {
namespace {

constexpr size_t kSignalStackBytes = 64 << 10;  // of which registers of a large kind take some KiB

volatile std::sig_atomic_t requests = 0;
// Copies that the handler may read at any time: a flag is 1 only while its name is whole.
struct UnfinishedFile {
  volatile std::sig_atomic_t there;
  char path[PATH_MAX];
};
UnfinishedFile unfinished_files[64];

void remove_unfinished_files() {
  for (const UnfinishedFile& file : unfinished_files)
    if (file.there) ::unlink(file.path);
  for (const UnfinishedFile& file : unfinished_files)  // folders, empty by now
    if (file.there) ::rmdir(file.path);
}

void on_signal(int) {
  if (requests) {
    remove_unfinished_files();
    ::_exit(130);
  }
  requests = 1;
}

void on_bus_error(int) {
  constexpr char kText[] =
      "enxuto: a model that is in use became shorter, or its disk failed\n"
      "  do not write to a model that is running\n";
  (void)!::write(STDERR_FILENO, kText, sizeof kText - 1);
  remove_unfinished_files();
  ::_exit(static_cast<int>(Code::kFailed));
}

}  // namespace

void install_interrupt_handler() {
  alignas(16) static char stack_memory[kSignalStackBytes];
  stack_t stack = {};
  stack.ss_sp = stack_memory, stack.ss_size = sizeof stack_memory;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails, as on a full disk
}

void leave_interrupts_to_others() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void remove_interrupt_handler() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

void add_unfinished_file(const std::string& path) {
  if (path.size() >= PATH_MAX) return;
  for (UnfinishedFile& file : unfinished_files) {
    if (file.there) continue;
    path.copy(file.path, path.size());
    file.path[path.size()] = '\0';
    file.there = 1;
    return;
  }
}

void remove_unfinished_file(const std::string& path) {
  for (UnfinishedFile& file : unfinished_files)
    if (file.there && path == file.path) file.there = 0;
}

void install_bus_error_handler() {
  struct sigaction action = {};
  action.sa_handler = on_bus_error;
  sigaction(SIGBUS, &action, nullptr);
}

bool interrupted() { return requests != 0 || memory_limit_fell(); }
void clear_interrupt() { requests = 0; }

}  // namespace enxuto
