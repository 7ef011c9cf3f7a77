#include "compress/rounded_layers.h"

namespace enxuto {

Result<RoundedLayers> RoundedLayers::open(State* state, uint64_t formats, uint32_t n_layers) {
  RoundedLayers layers(state, formats, n_layers);
  if (!state) return layers;
  bool there = true;
  while (there && layers.count_ < n_layers) {
    ASSIGN_OR_RETURN(there, layers.has(layers.count_));
    layers.count_ += there ? 1 : 0;
  }
  state->begins("writing", layers.count_, n_layers);
  return layers;
}

Result<bool> RoundedLayers::has(uint32_t layer) const {
  if (!state_->has(name_of(layer))) return false;
  ASSIGN_OR_RETURN(const RecordReader reader, state_->read(name_of(layer)));
  return reader.tag() == formats_;
}

Result<std::optional<RecordWriter>> RoundedLayers::create(uint32_t layer) const {
  if (!state_) return std::optional<RecordWriter>();
  ASSIGN_OR_RETURN(RecordWriter record, state_->create(name_of(layer), formats_));
  return std::optional<RecordWriter>(std::move(record));
}

Status RoundedLayers::forget() const {
  for (uint32_t l = 0; state_ && l < n_layers_; ++l) TRY(state_->remove(name_of(l)));
  return {};
}

}  // namespace enxuto
