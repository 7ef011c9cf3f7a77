#include "platform/interrupt.h"

#include <unistd.h>
#include <csignal>

namespace enxuto {
namespace {

volatile std::sig_atomic_t requests = 0;

void on_signal(int) {
  if (requests) _exit(130);
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

bool interrupted() { return requests != 0; }
void clear_interrupt() { requests = 0; }

}  // namespace enxuto
