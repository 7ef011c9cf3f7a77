#include "train/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "plan/output_size.h"

namespace enxuto {
namespace {

constexpr const char* kPrefix = "enxuto.training.";
constexpr std::string_view kMoments = ".moments", kAverage = ".average";
constexpr const char* kAdapter = "adapter";
constexpr float kMostF16 = 65504;

bool fits_f16(std::span<const uint8_t> f32) {
  const std::span<const float> values(reinterpret_cast<const float*>(f32.data()),
                                      f32.size() / sizeof(float));
  return std::ranges::all_of(values, [](float v) { return std::fabs(v) <= kMostF16; });
}

// All ranks have to call it.
Result<Type> written_type(const Trainer& trainer, const Trainer::Slot& slot) {
  const Tensor& tensor = *slot.tensor;
  if (tensor.n_dims == 1 || tensor.type != Type::F32) return tensor.type;
  double too_large[] = {fits_f16(slot.weights) ? 0.0 : 1.0};
  TRY(trainer.ranks().sum(too_large));
  return too_large[0] > 0 ? Type::F32 : Type::F16;
}

// Whole rows of the tensor.
Status write_rows(const Tensor& tensor, ByteView rows, Type type, GgufWriter& writer) {
  if (type == tensor.type) return writer.write(rows);
  const Codec& codec = *find_codec(type);
  std::vector<uint8_t> encoded(codec.row_bytes(tensor.columns()));
  std::vector<float> values(tensor.columns());
  for (uint64_t at = 0; at < rows.size(); at += tensor.row_bytes()) {
    tensor.codec().decode(rows.data() + at, values.data(), values.size());
    codec.encode(values.data(), nullptr, encoded.data(), values.size());
    TRY(writer.write(encoded));
  }
  return {};
}

std::span<const uint64_t> shape_of(const Tensor& tensor) { return {tensor.shape, tensor.n_dims}; }

// By the first rank; the others tell it their rows.
Status write_tensors(Trainer& trainer, std::span<const Type> types, const Metadata& metadata,
                     const std::string& path, bool replace) {
  const auto slots = trainer.slots();
  if (!trainer.ranks().first()) {
    for (const auto& slot : slots) TRY(trainer.gather_weights(slot, {}));
    return {};
  }
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, replace));
  GgufWriter writer(out, metadata);
  for (size_t i = 0; i < types.size(); ++i)
    TRY(writer.add(slots[i].tensor->name, types[i], shape_of(*slots[i].tensor)));
  TRY(out.reserve(writer.file_bytes()));
  TRY(writer.begin());
  for (size_t i = 0; i < types.size(); ++i)
    TRY(trainer.gather_weights(slots[i], [&](ByteView rows) {
      return write_rows(*slots[i].tensor, rows, types[i], writer);
    }));
  TRY(writer.finish());
  return out.commit();
}

Status write_moments(const Trainer& trainer, const Trainer::Slot& slot, GgufWriter& writer) {
  if (!slot.moments) return {};
  return trainer.gather_moments(slot, [&](ByteView bytes) { return writer.write(bytes); });
}

uint64_t bytes_of_average(const AveragedWeights::Rows& rows) {  // of all rows
  return rows.tensor->count() * sizeof(float);
}

// By the first rank; the others tell it what they know.
Status write_as_first(Trainer& trainer, const RunState& state, const std::string& path) {
  Metadata metadata = trainer.model()->metadata;
  const auto set = [&](const char* key, uint64_t value) {
    metadata.set_string(kPrefix + std::string(key), std::to_string(value));
  };
  set("step", state.step), set("sequence", state.sequence), set("data", state.data);
  set("best_step", state.best_step), set("stale", state.stale);
  set("batch", state.batch), set("steps", state.steps);
  metadata.set_string(std::string(kPrefix) + "best_loss", fmt::format("{:.17g}", state.best_loss));
  metadata.set_string(std::string(kPrefix) + "what", trainer.adapter() ? kAdapter : "model");
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, /*replace=*/true));
  GgufWriter writer(out, metadata);
  const auto slots = trainer.slots();
  for (const auto& slot : slots)
    TRY(writer.add(slot.tensor->name, slot.tensor->type, shape_of(*slot.tensor)));
  for (const auto& slot : slots) {
    if (!slot.moments) continue;
    const uint64_t bytes[] = {slot.moments->bytes_of_all_rows()};
    TRY(writer.add(slot.tensor->name + std::string(kMoments), Type::I8, bytes));
  }
  for (const auto& rows : trainer.averaged()) {
    const uint64_t bytes[] = {bytes_of_average(rows)};
    TRY(writer.add(rows.tensor->name + std::string(kAverage), Type::I8, bytes));
  }
  TRY(out.reserve(writer.file_bytes()));
  TRY(writer.begin());
  for (const auto& slot : slots)
    TRY(trainer.gather_weights(slot, [&](ByteView bytes) { return writer.write(bytes); }));
  for (const auto& slot : slots) TRY(write_moments(trainer, slot, writer));
  for (const auto& rows : trainer.averaged())
    TRY(trainer.gather_average(rows, [&](ByteView bytes) { return writer.write(bytes); }));
  TRY(writer.finish());
  return out.commit();
}

Status tell_first(Trainer& trainer) {
  const auto slots = trainer.slots();
  for (const auto& slot : slots) TRY(trainer.gather_weights(slot, {}));
  for (const auto& slot : slots)
    if (slot.moments) TRY(trainer.gather_moments(slot, {}));
  for (const auto& rows : trainer.averaged()) TRY(trainer.gather_average(rows, {}));
  return {};
}

}  // namespace

Status write_model(Trainer& trainer, const std::string& path, bool replace) {
  const Model& model = *trainer.model();
  std::vector<Type> types;
  Type embedding = model.token_embedding->type;
  for (const auto& slot : trainer.slots()) {
    ASSIGN_OR_RETURN(const Type type, written_type(trainer, slot));
    types.push_back(type);
    if (slot.tensor == model.token_embedding) embedding = type;
  }
  return write_tensors(trainer, types, output_metadata(model.metadata, file_type_of(embedding)),
                       path, replace);
}

Status write_model_as(Trainer& trainer, const Model& like, const std::string& path, bool replace) {
  std::vector<Type> types;
  for (const Tensor& tensor : like.tensors) types.push_back(tensor.type);
  return write_tensors(trainer, types, like.metadata, path, replace);
}

Status write_checkpoint(Trainer& trainer, const RunState& state, const std::string& path) {
  TRY(trainer.ranks().first() ? write_as_first(trainer, state, path) : tell_first(trainer));
  return trainer.ranks().wait();
}

Result<Checkpoint> Checkpoint::open(const std::string& path) {
  ASSIGN_OR_RETURN(GgufFile file, open_gguf(path));
  Checkpoint checkpoint;
  const auto text = [&](const char* key) {
    return std::string(file.metadata.string_at(kPrefix + std::string(key)).value_or(""));
  };
  if (text("step").empty() || text("what").empty())
    return Status::bad_input(fmt::format("{} is no checkpoint of a training", path));
  const auto number = [&](const char* key) {
    return std::strtoull(text(key).c_str(), nullptr, 10);
  };
  checkpoint.state_ = {number("step"),      number("sequence"),
                       number("data"),      std::strtod(text("best_loss").c_str(), nullptr),
                       number("best_step"), static_cast<uint32_t>(number("stale")),
                       number("batch"),     number("steps")};
  checkpoint.files_ = file.files;
  checkpoint.tensors_ = file.tensors;
  if (text("what") == kAdapter) return checkpoint;
  std::erase_if(file.tensors, [&](const Tensor& t) {
    const bool beside = t.name.ends_with(kMoments) || t.name.ends_with(kAverage);
    if (beside) file.file_bytes -= std::min(file.file_bytes, t.bytes());  // no part of the model
    return beside;
  });
  std::vector<std::string> keys;
  for (const auto& [key, value] : file.metadata.entries())
    if (key.starts_with(kPrefix)) keys.push_back(key);
  for (const std::string& key : keys) file.metadata.erase(key);
  auto model = make_model(std::move(file));
  if (!model.ok()) return model.status().in(path);
  checkpoint.model_ = *model;
  return checkpoint;
}

Result<ByteView> Checkpoint::find(const std::string& name, uint64_t bytes) const {
  const auto found = std::ranges::find(tensors_, name, &Tensor::name);
  if (found != tensors_.end() && found->data.size() == bytes) return found->data;
  return Status::bad_input(fmt::format("the checkpoint has no {} of this size", name),
                           "go on with the model, the --ema and the optimizer that it began with");
}

void Checkpoint::let_go() const {
  for (const auto& file : files_) file->let_go();
}

Status Checkpoint::restore_weights(Trainer& trainer) const {
  for (const auto& slot : trainer.slots()) {
    ASSIGN_OR_RETURN(const ByteView bytes, find(slot.tensor->name, slot.tensor->bytes()));
    std::ranges::copy(
        bytes.subspan(slot.rows.begin * slot.tensor->row_bytes(), slot.weights.size()),
        slot.weights.begin());
    let_go();
  }
  for (const auto& rows : trainer.averaged()) {
    ASSIGN_OR_RETURN(const ByteView bytes,
                     find(rows.tensor->name + std::string(kAverage), bytes_of_average(rows)));
    const uint64_t own = rows.rows.begin * rows.tensor->columns() * sizeof(float);
    std::memcpy(rows.average, bytes.data() + own, rows.count() * sizeof(float));
    let_go();
  }
  return {};
}

Status Checkpoint::restore(Trainer& trainer) const {
  const bool averages =
      std::ranges::any_of(tensors_, [](const Tensor& t) { return t.name.ends_with(kAverage); });
  if (averages && trainer.averaged().empty())
    return Status::bad_input("the checkpoint is of a training with --ema", "give it again");
  TRY(restore_weights(trainer));
  for (const auto& slot : trainer.slots()) {
    if (!slot.moments) continue;
    ASSIGN_OR_RETURN(const ByteView bytes, find(slot.tensor->name + std::string(kMoments),
                                                slot.moments->bytes_of_all_rows()));
    slot.moments->restore(bytes);
    let_go();
  }
  trainer.set_steps(state_.step);
  return {};
}

}  // namespace enxuto
