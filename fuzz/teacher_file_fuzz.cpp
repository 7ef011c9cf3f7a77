// A teacher's file of any bytes: what is taken has ascending tokens of its vocabulary in each row,
// and probabilities.
#include <cmath>
#include <vector>

#include "data/teacher_file.h"
#include "fuzz.h"

namespace enxuto {
namespace {

using fuzz::require;

void check_window(const TeacherFile& file, uint64_t window) {
  const TeacherShape& shape = file.shape();
  std::vector<Token> tokens(shape.context * shape.top);
  std::vector<float> log_p(shape.context * (shape.top + 1));
  file.read(window, {tokens, log_p});
  for (size_t i = 0; i < tokens.size(); ++i) {
    require(tokens[i] >= 0 && static_cast<uint64_t>(tokens[i]) < shape.vocabulary, "it is known");
    require(i % shape.top == 0 || tokens[i - 1] < tokens[i], "they ascend");
  }
  for (const float each : log_p) require(each <= 0, "a probability");
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  const auto file = TeacherFile::parse({data, size});
  if (!file.ok()) {
    require(file.status().code() == Code::kBadInput, "a bad file is kBadInput");
    return 0;
  }
  for (uint64_t window = 0; window < file->shape().windows; ++window) check_window(*file, window);
  return 0;
}
