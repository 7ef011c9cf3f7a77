#include "compress/covariance_file.h"

#include <algorithm>

namespace enxuto {

Result<CovarianceFile> CovarianceFile::create(const Dense& dense,
                                              const std::vector<Weight>& weights,
                                              const CompressionPlan& plan,
                                              const std::string& folder) {
  ASSIGN_OR_RETURN(ScratchFile scratch, ScratchFile::create(folder, plan.covariance_file_bytes));
  CovarianceFile file(dense, std::move(scratch));
  std::map<uint32_t, uint64_t> of_layers;
  uint64_t offset = 0;
  for (const Weight& weight : weights) {
    if (weight.input != weight.tensor) continue;
    const uint64_t bytes = *covariance_bytes(weight.input->columns());  // planned, so sane
    file.places_.push_back({weight.input, weight.layer, offset, bytes});
    offset += bytes;
    file.most_ = std::max(file.most_, of_layers[weight.layer] += bytes);
  }
  return file;
}

Status CovarianceFile::begin(const Workbench& bench) {
  covariances_.clear();
  layer_.reset();
  ASSIGN_OR_RETURN(memory_, bench.take<float>(most_ / sizeof(float)));
  return {};
}

void CovarianceFile::open_layer(uint32_t layer) {
  covariances_.clear();
  layer_ = layer;
  std::span<float> rest = memory_;
  for (const Place& place : places_) {
    if (place.layer != layer) continue;
    const auto columns = static_cast<int64_t>(place.input->columns());
    const uint64_t floats = place.bytes / sizeof(float);
    covariances_.try_emplace(place.input, dense_, columns, rest.first(floats));
    rest = rest.subspan(floats);
  }
}

// body(place, address of the covariance)
template <class Body>
Status CovarianceFile::for_opened(const Body& body) {
  for (const Place& place : places_)
    if (place.layer == layer_)
      TRY(body(place, reinterpret_cast<uint8_t*>(covariances_.at(place.input).memory().data())));
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

}  // namespace enxuto
