#include "inputs.h"

#include <gtest/gtest.h>

#include <iterator>
#include <random>

#include "tests/tiny/tiny_model.h"

namespace enxuto {

void write_tiny_llama(const std::string& path) {
  TinyOptions options;
  options.width = 64;
  options.n_layers = 2;
  const Status status = write_tiny_gguf(tiny_model(options), Type::F32, path);
  ASSERT_TRUE(status.ok()) << status.what();
}

std::string sample_text(size_t bytes) {
  static constexpr const char* kWords[] = {"the ", "another ", "tone ", "that ", "net, ", "ate ",
                                           "eat ", "not ",     "tea. ", "ten ",  "on "};
  std::mt19937 random(3);
  std::string text;
  while (text.size() < bytes) text += kWords[random() % std::size(kWords)];
  return text;
}

}  // namespace enxuto
