// The texts that what stays is fitted on, from layer to layer.
#pragma once

#include <span>
#include <vector>

#include "compress/workbench.h"

namespace enxuto {

class FitTexts {
 public:
  // Embedded, at the beginning of a stage.
  static Result<FitTexts> begin(const Workbench& bench,
                                const std::vector<std::vector<Token>>& chunks);
  // Through a held layer, with these hooks.
  Status run(uint32_t layer, ForwardHooks hooks);
  // The same, and the texts stay before the layer. after: told of each pass what its tokens have
  // become, and where they lie: (chunk, first token, tokens, (tokens, width)).
  using AfterPass = std::function<Status(size_t chunk, size_t begin, size_t n, const float* out)>;
  Status show(uint32_t layer, ForwardHooks hooks, const AfterPass& after = {});
  // (tokens, width) of a chunk as it is now, to be read.
  Result<const float*> chunk(size_t c);

 private:
  FitTexts(const Workbench& bench, const std::vector<std::vector<Token>>& chunks, HiddenStates s)
      : bench_(bench), chunks_(chunks), states_(std::move(s)) {}
  const Workbench& bench_;
  const std::vector<std::vector<Token>>& chunks_;
  HiddenStates states_;
};

}  // namespace enxuto
