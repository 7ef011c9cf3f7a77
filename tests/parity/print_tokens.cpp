// print_tokens MODEL: the ids of the text on standard input, control tokens parsed, what the model
// adds by itself added (for tools/check_export.py).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <iterator>

#include "models/model.h"
#include "tokenizer/tokenizer.h"

int main(int argc, char** argv) {
  using namespace enxuto;
  const auto run = [&]() -> Status {
    if (argc != 2) return Status::usage("print_tokens MODEL");
    ASSIGN_OR_RETURN(const auto model, open_model(argv[1]));
    ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(model->metadata));
    const std::string text(std::istreambuf_iterator<char>(std::cin), {});
    fmt::print("{}\n", fmt::join(tokenizer->encode(text, true, true), " "));
    return {};
  };
  const Status status = run();
  if (!status.ok()) fmt::print(stderr, "{}\n", status.what());
  return static_cast<int>(status.code());
}
