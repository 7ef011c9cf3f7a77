#include "train/checkpoints.h"

#include "codecs/codec.h"

namespace enxuto {
namespace {

const Codec& bf16() { return *find_codec(Type::BF16); }

}  // namespace

Result<Checkpoints> Checkpoints::create(const std::string& folder, std::span<uint8_t> buffer,
                                        size_t count) {
  ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::create(folder, buffer.size() * count));
  return Checkpoints(std::move(file), buffer);
}

Status Checkpoints::store(size_t i, std::span<const float> values) {
  bf16().encode(values.data(), nullptr, buffer_.data(), values.size());
  return file_.write(i * buffer_.size(), buffer_.data(), buffer_.size());
}

Status Checkpoints::load(size_t i, std::span<float> values) const {
  TRY(file_.read(i * buffer_.size(), buffer_.data(), buffer_.size()));
  bf16().decode(buffer_.data(), values.data(), values.size());
  return Status();
}

}  // namespace enxuto
