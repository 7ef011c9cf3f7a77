#include "platform/library.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace enxuto {

Result<SharedLibrary> SharedLibrary::open(const char* file_name, const char* package) {
  void* handle = dlopen(file_name, RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return Status::failed(fmt::format("the library {} is missing", file_name),
                          fmt::format("install it: apt-get install {}", package));
  return SharedLibrary(handle);
}

Result<void*> SharedLibrary::address_of(const char* symbol) const {
  void* address = dlsym(handle_, symbol);
  if (!address) return Status::failed(fmt::format("a library lacks the function {}", symbol));
  return address;
}

}  // namespace enxuto
