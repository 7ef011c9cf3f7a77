// The program: reads the command line, runs one command, and turns its Status into lines on
// standard error and an exit code. The last place where an exception may arrive.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include "cli/arguments.h"
#include "cli/clock.h"
#include "cli/terminal_text.h"
#include "platform/heap.h"
#include "platform/interrupt.h"
#include "platform/limit_watch.h"

namespace enxuto {
namespace {

Status output_status() {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return {};
  return Status::failed(fmt::format("cannot write the output: {}", std::strerror(errno)),
                        "free some space, or write elsewhere");
}

Status run_program(int argc, const char* const* argv) try {
  ASSIGN_OR_RETURN(const auto command, parse_arguments(argc, argv));
  TRY(command());
  return output_status();
} catch (const std::bad_alloc&) {
  return Status::failed("the machine has no memory left for this",
                        "`enxuto plan MODEL` says what it takes");
} catch (const std::system_error& error) {  // fmt's way to say that standard output is full
  if (std::ferror(stdout)) return output_status();
  return Status::failed(fmt::format("stopped by an error of the system: {}", error.what()));
} catch (const std::exception& error) {
  return Status::failed(fmt::format("stopped by an error inside: {}", error.what()));
}

}  // namespace
}  // namespace enxuto

int main(int argc, char** argv) {
  enxuto::bound_heap();
  enxuto::start_clock();
  enxuto::install_interrupt_handler();
  enxuto::install_bus_error_handler();
  enxuto::Status status = enxuto::run_program(argc, argv);
  if (status.code() == enxuto::Code::kInterrupted)
    if (const auto fell = enxuto::memory_limit_fell()) status = *fell;
  if (!status.ok()) enxuto::print_error(status);
  return static_cast<int>(status.code());
}
