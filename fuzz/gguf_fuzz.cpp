// A GGUF file of any bytes: read, walked through, written again and read again, with the same
// content. Also tried as a model.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "formats/gguf.h"
#include "models/bind.h"

namespace enxuto {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Every accessor over every value, and every byte of every tensor.
uint64_t walk(const GgufFile& file) {
  uint64_t sum = 0;
  for (const auto& [key, value] : file.metadata.entries()) {
    sum += key.size() + value.as_unsigned().value_or(0) + value.as_bool().value_or(false);
    sum += value.as_number().has_value();
    for (std::string_view text : value.as_strings().value_or(std::vector<std::string_view>()))
      for (char c : text) sum += static_cast<uint8_t>(c);
    if (const auto numbers = value.as_numbers()) sum += numbers->size();
  }
  for (const Tensor& t : file.tensors)
    for (uint64_t r = 0; r < t.rows(); ++r)
      for (uint8_t byte : t.row(r)) sum += byte;
  return sum;
}

Status write_again(const GgufFile& file, const std::string& path) {
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, true));
  GgufWriter writer(out, file.metadata);
  for (const Tensor& t : file.tensors)
    TRY(writer.add(t.name, t.type, std::span(t.shape, t.n_dims)));
  const uint64_t promised = writer.file_bytes();
  TRY(writer.begin());
  for (const Tensor& t : file.tensors) TRY(writer.write(t.data));
  TRY(writer.finish());
  require(out.size() == promised);
  return out.commit();
}

void try_as_model(GgufFile file) {
  const auto name = file.metadata.string_at("general.architecture");
  const Architecture* architecture = name ? find_architecture(*name) : nullptr;
  if (!architecture) return;
  Model model;
  model.metadata = std::move(file.metadata);
  model.tensors = std::move(file.tensors);
  const auto hyper = read_hyper_parameters(*architecture, model.metadata);
  if (!hyper.ok()) return;
  model.hyper = *hyper;
  if (!bind_tensors(*architecture, model).ok()) return;
  for (const Tensor& t : model.tensors) (void)model.emit_row(t, 0);
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  auto file = parse_gguf({data, size});
  if (!file.ok()) {
    require(!file.status().what().empty());
    return 0;
  }
  static const std::string path = "/dev/shm/enxuto-gguf-fuzz-" + std::to_string(::getpid());
  const uint64_t sum = walk(*file);
  require(write_again(*file, path).ok());
  {
    const auto again = open_gguf(path);
    require(again.ok() || file->metadata.find("split.count"));
    if (again.ok()) require(walk(*again) == sum);
  }
  std::remove(path.c_str());
  try_as_model(std::move(*file));
  return 0;
}
