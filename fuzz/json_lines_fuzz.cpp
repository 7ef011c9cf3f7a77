// JSON lines of any bytes: every line is a document, empty or corrupt, and what becomes tokens are
// the texts of the lines, one after the other.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "data/example.h"
#include "data/tokenize.h"
#include "fuzz.h"
#include "tokenizer/bpe_training.h"

namespace enxuto {
namespace {

using fuzz::require;

const Metadata& bytes_alone() {
  static const Metadata metadata =
      std::move(BpeTrainer::create(1)->train(kLeastBpeTokens, {})).value();
  return metadata;
}

struct Expected {
  uint64_t documents = 0, left_out = 0;
  std::string texts;  // of {"text": …}
  bool turns = false;
};

Expected expected_of(std::string_view lines) {
  Expected expected;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    const auto example = parse_example(line);
    if (!example.ok() || example->empty) {
      expected.left_out++;
      continue;
    }
    expected.documents++;
    expected.texts += example->text;
    expected.turns = expected.turns || !example->turns.empty();
  }
  return expected;
}

void check(const std::string& path, const std::string& out, const Expected& expected) {
  const auto tokenizer = Tokenizer::create(bytes_alone());
  const auto counts = write_tokens(**tokenizer, {path}, out, {});
  require(counts.ok() == (expected.documents > 0), "tokens where there is a document");
  if (!counts.ok()) return require(counts.status().code() == Code::kBadInput, "else kBadInput");
  require(counts->documents == expected.documents, "as many documents");
  require(counts->empty + counts->corrupt == expected.left_out, "as many lines left out");
  const auto file = TokenFile::open(out);
  require(file.ok(), "a token file");
  std::vector<Token> tokens(file->n_tokens());
  file->read(0, tokens);
  if (!expected.turns)
    require((*tokenizer)->decode(tokens) == expected.texts, "the texts in their order");
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  const std::string_view lines(reinterpret_cast<const char*>(data), size);
  static const std::string out = "/dev/shm/enxuto-lines-fuzz-" + std::to_string(::getpid());
  static const std::string path = out + ".jsonl";
  std::ofstream(path, std::ios::binary) << lines;
  check(path, out, expected_of(lines));
  std::remove(path.c_str());
  std::remove(out.c_str());
  return 0;
}
