#include "compress/covariance_file.h"

#include <algorithm>

namespace enxuto {

Result<CovarianceFile> CovarianceFile::of_inputs(const Dense& dense,
                                                 const std::vector<Weight>& weights,
                                                 const std::string& folder) {
  std::vector<Place> places;
  for (const Weight& weight : weights)
    if (weight.input == weight.tensor)
      places.push_back({weight.input, weight.layer, weight.input->columns(), 0, 0});
  return create(dense, std::move(places), folder);
}

Result<CovarianceFile> CovarianceFile::of_outputs(const Dense& dense,
                                                  const std::vector<Weight>& weights,
                                                  uint32_t n_layers, const std::string& folder) {
  std::vector<Place> places;
  for (const Weight& weight : weights)
    if (weight.input && weight.layer < n_layers)
      places.push_back({weight.tensor, weight.layer, weight.tensor->rows(), 0, 0});
  return create(dense, std::move(places), folder);
}

Result<CovarianceFile> CovarianceFile::create(const Dense& dense, std::vector<Place> places,
                                              const std::string& folder) {
  uint64_t offset = 0;
  for (Place& place : places) {
    place.offset = offset;
    place.bytes = *covariance_bytes(place.size);  // planned, so sane
    offset += place.bytes;
  }
  ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::create(folder, offset));
  return CovarianceFile(dense, std::move(places), std::move(file));
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
                   memory.first(place.bytes / sizeof(float)))
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

// body(place, address of the covariance)
template <class Body>
Status CovarianceFile::for_opened(const Body& body) {
  for (const Place& place : places_)
    if (place.layer == layer_)
      TRY(body(place, reinterpret_cast<uint8_t*>(covariances_.at(place.tensor).memory().data())));
  return {};
}

Status CovarianceFile::keep() {
  return for_opened([&](const Place& place, const uint8_t* data) {
    return file_.write(place.offset, data, place.bytes);
  });
}

Result<const Covariance*> CovarianceFile::of(const Weight& weight) {
  if (layer_ != weight.layer) {
    open_layer(weight.layer);
    TRY(for_opened([&](const Place& place, uint8_t* data) {
      return file_.read(place.offset, data, place.bytes);
    }));
  }
  return &covariances_.at(weight.input);
}

Result<Covariance*> CovarianceFile::single(const Tensor& tensor) {
  covariances_.clear();
  layer_.reset();
  const Place& place = *place_of(tensor);
  TRY(file_.read(place.offset, reinterpret_cast<uint8_t*>(memory_.data()), place.bytes));
  return &open(place, memory_);
}

}  // namespace enxuto
