// What the formats of the KV cache cost a model: KL divergence of its predictions from those with
// an f16 cache, measured on a text; of whole caches, and of each layer's keys and values apart.
#pragma once

#include <memory>

#include "base/progress.h"
#include "infer/session.h"
#include "memory/arena.h"
#include "plan/cache_formats.h"

namespace enxuto {

struct CacheScore {
  uint64_t scored_tokens = 0;
  double kld_mean = 0, kld_mean_error = 0;  // nats; one standard error
  double same_top = 0;                      // share in [0, 1]
};

class CacheMeter {
 public:
  // Within `memory_bytes` (0: no limit), as plan_cache_measurement says: weights that do not fit
  // are streamed. kDoesNotFit where not even that is possible.
  static Result<std::unique_ptr<CacheMeter>> open(std::shared_ptr<const Model> model, int n_threads,
                                                  uint64_t memory_bytes);

  // Each cache (a format for each layer) against f16: the second half of each chunk is scored. No
  // chunk is begun after `seconds`; chunks of kCacheChunkTokens at most.
  Result<std::vector<CacheScore>> compare(std::span<const std::vector<KvFormat>> caches,
                                          const std::vector<std::vector<Token>>& chunks,
                                          double seconds, const Progress& progress);

  // What each layer's formats cost, others being f16. The error of one layer is far below the noise
  // that 8-bit activations make of any change: what q4_0 does to the layer's output is enlarged
  // before the layers behind see it, and the divergence divided by the square of that. The other
  // formats' costs follow from the size of what they do to the output. Of the chunk, no more than
  // its first kLayerTokens tokens.
  Result<std::vector<LayerLoss>> weigh_layers(std::span<const Token> chunk,
                                              const Progress& progress);

 private:
  CacheMeter(std::unique_ptr<Session> session, std::unique_ptr<Arena> arena)
      : session_(std::move(session)), arena_(std::move(arena)) {}
  template <class Visit>
  Status run(std::span<const Token> chunk, const Visit& visit);
  Status keep_reference(std::span<const Token> chunk);
  Status score(std::span<const Token> chunk, size_t begin, size_t end,
               std::vector<struct RowScore>& scores);
  Status run_layer(uint32_t layer, KvFormat format, size_t n_tokens, float* out);
  Result<LayerLoss> weigh_layer(uint32_t layer, std::span<const Token> chunk);
  void set_all(std::span<const KvFormat> layers);
  const HyperParameters& hyper() const { return session_->model().hyper; }
  float* row(std::span<float> rows, size_t at) const { return rows.data() + at * hyper().width; }

  std::unique_ptr<Session> session_;
  std::unique_ptr<Arena> arena_;
  std::span<float> reference_;           // hidden state of the scored tokens, f16: (n / 2, width)
  std::span<float> input_, next_, off_;  // of a layer: its input, its output with f16, the error
};

}  // namespace enxuto
