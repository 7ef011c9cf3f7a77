// Which weights compress surveys: probes, and measures in every format. Of the others one error is
// measured, and the surveyed weights of their kind tell the rest (compress/prices.h).
//
// A kind is one matrix of all layers that have it in one shape and format. Its first and last
// weights are surveyed, and between them fewer and fewer: early layers differ most.
#pragma once

#include <map>
#include <vector>

#include "models/model.h"

namespace enxuto {

class Survey {
 public:
  // The nearest surveyed weights of a weight's kind, and the part of the way (in layers) from the
  // one to the other. Of one that is surveyed both are itself.
  struct Place {
    const Tensor *before, *after;
    double way;
  };
  Survey() = default;
  // of_all: every weight. So is one that has no probe to compare others by, or no kind.
  Survey(const Model& model, bool of_all);

  // weight: a matrix of a layer, the head or the embedding.
  const Place& place(const Tensor& weight) const { return places_.at(&weight); }
  // Weights that are surveyed.
  size_t size() const;
  bool has(const Tensor& weight) const { return place(weight).before == &weight; }

 private:
  struct Member {
    const Tensor* weight;
    uint32_t layer;
  };
  void add_kind(const std::vector<Member>& kind, bool of_all);
  std::map<const Tensor*, Place> places_;
};

}  // namespace enxuto
