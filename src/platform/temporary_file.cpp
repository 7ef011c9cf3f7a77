#include "platform/temporary_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "platform/faults.h"
#include "platform/interrupt.h"

namespace enxuto {

TemporaryFile::TemporaryFile(const std::string& output, const char* what)
    : path_(fmt::format("{}.{}-{}", output, what, ::getpid())) {
  add_unfinished_file(path_);
}

TemporaryFile::~TemporaryFile() {
  ::unlink(path_.c_str());
  remove_unfinished_file(path_);
}

Status TemporaryFile::become(const std::string& output) {
  if (fault_here(FaultPoint::kWrite) || ::rename(path_.c_str(), output.c_str()) != 0)
    return Status::failed(fmt::format("cannot name {}: {}", output, std::strerror(errno)));
  return {};
}

}  // namespace enxuto
