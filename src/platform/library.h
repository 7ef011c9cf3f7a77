// A shared library that is loaded when it is first needed, not when the program starts: whoever
// does not need it pays neither its pages nor its start-up.
#pragma once

#include "base/status.h"

namespace enxuto {

class SharedLibrary {
 public:
  // file_name: as the loader finds it ("libx.so.2"); package: what Debian calls it, for the error.
  // Stays loaded.
  static Result<SharedLibrary> open(const char* file_name, const char* package);

  // kFailed where the library has no such symbol.
  template <class Function>
  Status find(const char* symbol, Function** function) const {
    ASSIGN_OR_RETURN(void* address, address_of(symbol));
    *function = reinterpret_cast<Function*>(address);
    return Status();
  }

 private:
  explicit SharedLibrary(void* handle) : handle_(handle) {}
  Result<void*> address_of(const char* symbol) const;
  void* handle_;
};

}  // namespace enxuto
