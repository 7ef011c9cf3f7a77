// Errors as values. A Status is one null pointer when all is well; otherwise it says what happened,
// what the user can do, and which exit code the program ends with. A Result<T> is a T or the Status
// that kept it away.
#pragma once

#include <cassert>
#include <memory>
#include <string>
#include <utility>
#include <variant>

namespace enxuto {

// The values are the program's exit codes.
enum class Code {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kBadInput = 3,
  kDoesNotFit = 4,
  kInterrupted = 130
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK

  static Status failed(std::string what, std::string todo = {}) {
    return {Code::kFailed, std::move(what), std::move(todo)};
  }
  static Status usage(std::string what, std::string todo = {}) {
    return {Code::kUsage, std::move(what), std::move(todo)};
  }
  static Status bad_input(std::string what, std::string todo = {}) {
    return {Code::kBadInput, std::move(what), std::move(todo)};
  }
  static Status does_not_fit(std::string what, std::string todo = {}) {
    return {Code::kDoesNotFit, std::move(what), std::move(todo)};
  }
  static Status interrupted() { return {Code::kInterrupted, "interrupted", ""}; }

  bool ok() const { return detail_ == nullptr; }
  Code code() const { return ok() ? Code::kOk : detail_->code; }
  // One line, without a final full stop: what happened.
  const std::string& what() const { return detail_ ? detail_->what : empty(); }
  // One line: what the user can do about it. May be empty.
  const std::string& todo() const { return detail_ ? detail_->todo : empty(); }
  // The same error, said of a file or a part: "PREFIX: what".
  Status in(const std::string& prefix) const {
    return ok() ? Status() : Status(code(), prefix + ": " + what(), todo());
  }

 private:
  struct Detail {
    Code code;
    std::string what, todo;
  };
  Status(Code code, std::string what, std::string todo)
      : detail_(std::make_shared<const Detail>(Detail{code, std::move(what), std::move(todo)})) {}
  static const std::string& empty() {
    static const std::string nothing;
    return nothing;
  }
  std::shared_ptr<const Detail> detail_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}  // NOLINT: implicit by design
  Result(Status status) : state_(std::move(status)) { assert(!this->status().ok()); }  // NOLINT

  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const { return ok() ? Status() : std::get<Status>(state_); }
  T& value() & { return std::get<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<Status, T> state_;
};

#define ENXUTO_CONCAT_(a, b) a##b
#define ENXUTO_CONCAT(a, b) ENXUTO_CONCAT_(a, b)

// Hands an error on to the caller: TRY(writer.commit());
#define TRY(expression)                                                                     \
  do {                                                                                      \
    if (::enxuto::Status try_status_ = (expression); !try_status_.ok()) return try_status_; \
  } while (false)

// Names a Result's value, or hands its error on: ASSIGN_OR_RETURN(auto file, ReadFile::open(path));
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_(ENXUTO_CONCAT(result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_(result, declaration, expression) \
  auto result = (expression);                              \
  if (!result.ok()) return result.status();                \
  declaration = std::move(result).value()

}  // namespace enxuto
