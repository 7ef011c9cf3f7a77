#include "compress/covariance_file.h"

#include <algorithm>

namespace enxuto {

Result<CovarianceFile> CovarianceFile::of_inputs(const Dense& dense,
                                                 const std::vector<Weight>& weights,
                                                 uint64_t most_columns, const std::string& folder,
                                                 const State* state) {
  std::vector<Place> places;
  for (const Weight& weight : weights)
    if (weight.input == weight.tensor)
      places.push_back({weight.input, weight.layer, weight.input->columns(), most_columns});
  return create(dense, std::move(places), folder, state, record::kCovariance);
}

Result<CovarianceFile> CovarianceFile::of_outputs(const Dense& dense,
                                                  const std::vector<Weight>& weights,
                                                  uint32_t n_layers, const std::string& folder,
                                                  const State* state) {
  std::vector<Place> places;
  for (const Weight& weight : weights)
    if (weight.input && weight.layer < n_layers)
      places.push_back({weight.tensor, weight.layer, weight.tensor->rows()});
  return create(dense, std::move(places), folder, state, record::kOutputCovariance);
}

Result<CovarianceFile> CovarianceFile::create(const Dense& dense, std::vector<Place> places,
                                              const std::string& folder, const State* state,
                                              const char* record) {
  uint64_t offset = 0;
  for (Place& place : places) {
    place.offset = offset;
    place.bytes = *covariance_bytes(place.size, place.most_columns);  // planned, so sane
    offset += place.bytes;
  }
  CovarianceFile file(dense, std::move(places), state, record);
  if (!state) {
    ASSIGN_OR_RETURN(file.file_, ScratchFile::create(folder, offset));
  }
  return file;
}

std::string CovarianceFile::record_of(const Place& place) const {
  return numbered(record_, static_cast<uint64_t>(&place - places_.data()));
}

bool CovarianceFile::complete() const {
  return state_ && std::ranges::all_of(
                       places_, [&](const Place& place) { return state_->has(record_of(place)); });
}

std::vector<const Tensor*> CovarianceFile::tensors_of(uint32_t layer) const {
  std::vector<const Tensor*> tensors;
  for (const Place& place : places_)
    if (place.layer == layer) tensors.push_back(place.tensor);
  return tensors;
}

Status CovarianceFile::take(const Workbench& bench, uint64_t bytes) {
  covariances_.clear();
  layer_.reset();
  ASSIGN_OR_RETURN(memory_, bench.take<float>(bytes / sizeof(float)));
  return {};
}

Status CovarianceFile::begin(const Workbench& bench) {
  std::map<uint32_t, uint64_t> of_layers;
  uint64_t most = 0;
  for (const Place& place : places_) most = std::max(most, of_layers[place.layer] += place.bytes);
  return take(bench, most);
}

Status CovarianceFile::begin_single(const Workbench& bench) {
  uint64_t most = 0;
  for (const Place& place : places_) most = std::max(most, place.bytes);
  return take(bench, most);
}

const CovarianceFile::Place* CovarianceFile::place_of(const Tensor& tensor) const {
  const auto it = std::ranges::find(places_, &tensor, &Place::tensor);
  return it == places_.end() ? nullptr : &*it;
}

std::optional<uint32_t> CovarianceFile::layer_of(const Tensor& tensor) const {
  const Place* place = place_of(tensor);
  return place ? std::optional(place->layer) : std::nullopt;
}

Covariance& CovarianceFile::open(const Place& place, std::span<float> memory) {
  return covariances_
      .try_emplace(place.tensor, dense_, static_cast<int64_t>(place.size),
                   memory.first(place.bytes / sizeof(float)), place.most_columns)
      .first->second;
}

void CovarianceFile::open_layer(uint32_t layer) {
  covariances_.clear();
  layer_ = layer;
  std::span<float> rest = memory_;
  for (const Place& place : places_) {
    if (place.layer != layer) continue;
    rest = rest.subspan(open(place, rest).memory().size());
  }
}

std::span<uint8_t> CovarianceFile::bytes_of_opened(const Place& place) {
  return room_of(covariances_.at(place.tensor).memory());
}

Status CovarianceFile::write(const Place& place, ByteView bytes) {
  return state_ ? state_->put(record_of(place), bytes)
                : file_->write(place.offset, bytes.data(), place.bytes);
}

Status CovarianceFile::read(const Place& place, std::span<uint8_t> to) const {
  if (!state_) return file_->read(place.offset, to.data(), place.bytes);
  ASSIGN_OR_RETURN(RecordReader reader, state_->read(record_of(place)));
  TRY(reader.read(to.first(place.bytes)));
  return reader.finish();
}

Status CovarianceFile::keep() {
  for (const Place& place : places_)
    if (place.layer == layer_) TRY(write(place, bytes_of_opened(place)));
  return {};
}

Result<const Covariance*> CovarianceFile::of(const Weight& weight) {
  if (layer_ != weight.layer) {
    open_layer(weight.layer);
    for (const Place& place : places_)
      if (place.layer == layer_) TRY(read(place, bytes_of_opened(place)));
  }
  return &covariances_.at(weight.input);
}

Result<Covariance*> CovarianceFile::single(const Tensor& tensor) {
  covariances_.clear();
  layer_.reset();
  const Place& place = *place_of(tensor);
  TRY(read(place, room_of(memory_)));
  return &open(place, memory_);
}

}  // namespace enxuto
