// Chunks of calibration text through a layer, in passes of the session's batch.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "compress/covariance.h"
#include "infer/session.h"

namespace enxuto {

// state: (n_tokens, width), the chunk's from its first token on.
Status embed_chunk(Session& session, std::span<const Token> chunk, float* state);
// In place.
Status run_chunk(Session& session, uint32_t layer, size_t n_tokens, float* state);
// For the hooks, and `after` each pass: what its tokens from `begin` on have become, (n, width).
// The state stays as it is.
using AfterPass = std::function<void(size_t begin, size_t n, const float* out)>;
Status show_chunk(Session& session, uint32_t layer, size_t n_tokens, const float* state,
                  const AfterPass& after = {});

// A few tokens (the first ones above all, on which attention rests) have inputs a thousand times
// larger than all others, and would decide alone. A token whose energy is an outlier of its pass
// counts only as much as a usual one does. x: (n_tokens, columns), rows x_stride floats apart. How
// much each token counts.
std::vector<float> add_tokens(ThreadTeam& team, const float* x, int64_t x_stride, int64_t n_tokens,
                              Covariance& covariance);

}  // namespace enxuto
