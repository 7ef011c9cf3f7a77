#include "platform/child_program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "platform/interrupt.h"

namespace enxuto {

Status run_child_program(const std::vector<std::string>& arguments, const char* package) {
  std::vector<char*> raw;
  for (const std::string& each : arguments) raw.push_back(const_cast<char*>(each.c_str()));
  raw.push_back(nullptr);
  posix_spawn_file_actions_t quiet;
  ::posix_spawn_file_actions_init(&quiet);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    ::posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_RDWR, 0);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, raw[0], &quiet, nullptr, raw.data(), environ);
  ::posix_spawn_file_actions_destroy(&quiet);
  if (error)
    return Status::failed(fmt::format("cannot run {}: {}", arguments[0], std::strerror(error)),
                          fmt::format("install it, on Debian: apt-get install {}", package));
  int state = 0;
  while (::waitpid(child, &state, 0) < 0 && errno == EINTR) continue;
  if (interrupted()) return Status::interrupted();
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return {};
  return Status::failed(fmt::format("{} failed", arguments[0]), "run it by hand to see why");
}

}  // namespace enxuto
