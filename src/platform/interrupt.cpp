#include "platform/interrupt.h"

#include <unistd.h>

#include <climits>
#include <csignal>

namespace enxuto {
namespace {

volatile std::sig_atomic_t requests = 0;
// A copy that the handler may read at any time: the flag is 1 only while it is whole.
char unfinished_file[PATH_MAX];
volatile std::sig_atomic_t has_unfinished_file = 0;

void on_signal(int) {
  if (requests) {
    if (has_unfinished_file) ::unlink(unfinished_file);
    ::_exit(130);
  }
  requests = 1;
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void remove_interrupt_handler() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

void set_unfinished_file(const std::string& path) {
  has_unfinished_file = 0;
  if (path.empty() || path.size() >= sizeof unfinished_file) return;
  path.copy(unfinished_file, path.size());
  unfinished_file[path.size()] = '\0';
  has_unfinished_file = 1;
}

bool interrupted() { return requests != 0; }
void clear_interrupt() { requests = 0; }

}  // namespace enxuto
