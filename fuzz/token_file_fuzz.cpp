// A token file of any bytes: what is taken has tokens below its vocabulary and as many learned ones
// as it says, gives windows, and is read as it was when written anew.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "data/sequences.h"
#include "fuzz.h"

namespace enxuto {
namespace {

using fuzz::require;

struct Content {
  std::vector<Token> tokens;
  std::vector<uint8_t> learned;
  bool operator==(const Content&) const = default;
};

Content content_of(const TokenFile& file) {
  Content content{std::vector<Token>(file.n_tokens()), std::vector<uint8_t>(file.n_tokens())};
  file.read(0, content.tokens);
  file.read_learned(0, content.learned);
  return content;
}

void check_content(const TokenFile& file, const Content& content) {
  for (const Token token : content.tokens)
    require(token >= 0 && static_cast<uint64_t>(token) < file.vocabulary(), "tokens are known");
  const auto learned = std::ranges::count(content.learned, 1);
  require(static_cast<uint64_t>(learned) == file.counts().learned_tokens, "learned as it says");
}

void check_windows(const TokenFile& file, uint64_t context) {
  const auto sequences = Sequences::create(file, context, 0.25, 1, true);
  require(sequences.ok() == (file.n_tokens() > context), "a window where there is one");
  if (!sequences.ok()) return;
  std::vector<Token> tokens(context + 1);
  std::vector<uint8_t> learned(context);
  for (uint64_t i = 0; i < 2 * sequences->n_training(); i++)
    sequences->training(i, tokens, learned);
  for (uint64_t i = 0; i < sequences->n_validation(); i++)
    sequences->validation(i, tokens, learned);
}

Status write(const TokenFile& file, const Content& content, const std::string& path) {
  ASSIGN_OR_RETURN(TokenFileWriter writer,
                   TokenFileWriter::create(path, file.vocabulary(), file.fingerprint()));
  for (size_t i = 0; i < content.tokens.size(); i++)
    TRY(writer.add({&content.tokens[i], 1}, content.learned[i] != 0));
  return writer.finish(file.counts());
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  const auto file = TokenFile::parse({data, size});
  if (!file.ok()) {
    require(file.status().code() == Code::kBadInput, "a bad file is kBadInput");
    return 0;
  }
  const Content content = content_of(*file);
  check_content(*file, content);
  check_windows(*file, 1 + size % 7);
  static const std::string path = "/dev/shm/enxuto-token-fuzz-" + std::to_string(::getpid());
  require(write(*file, content, path).ok(), "it is written");
  {
    const auto again = TokenFile::open(path);
    require(again.ok() && content_of(*again) == content, "and read as it was");
  }
  std::remove(path.c_str());
  return 0;
}
