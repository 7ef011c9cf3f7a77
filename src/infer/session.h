// A session: one sequence, its KV cache and its working memory, over a model that lies in its file.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "infer/low_rank_weights.h"
#include "infer/operator_times.h"
#include "kernels/matmul.h"
#include "kernels/weight_products.h"
#include "models/model.h"
#include "plan/plan.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

// Looks on while a pass computes (calibration), or puts another matrix in a tensor's place
// (sensitivity probes).
struct ForwardHooks {
  // Before a linear layer: its input, (n_tokens, tensor.columns()), rows x_stride floats apart.
  // Tensors that share an input are told one after the other, with the same x.
  std::function<void(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens)>
      on_linear_input;
  // Of a mixture, flags of the experts that no token may meet, (n_experts); empty: all may be met.
  std::span<const uint8_t> gone_experts;
  // After an expert: what it adds to the tokens that met it, (n_tokens, width).
  std::function<void(uint32_t expert, const float* added, int64_t n_tokens)> on_expert;
  // The matrix to use in a tensor's place (the embedding's too, or a row of floats in that of a
  // bias), or null for its own.
  std::function<const MatrixView*(const Tensor& tensor)> replacement;
};

// What streaming weights from the file has taken so far.
struct StreamStatistics {
  uint64_t bytes_per_pass = 0;
  uint64_t bytes_read = 0;
  double read_seconds = 0;  // of the reading thread, at the disk
};

// Linear layers see their input in 8-bit codes. kFine: a scale for each 32 values. kOfLlamaCpp: one
// for each 256 where the weights' format has blocks of 256, as in llama.cpp; for figures that are
// to be those of the same file there.
enum class InputScales { kFine, kOfLlamaCpp };

class Session {
 public:
  static Result<std::unique_ptr<Session>> open(std::shared_ptr<const Model> model,
                                               const InferenceRequest& request);
  ~Session();

  const Model& model() const;
  const MemoryMap& memory_map() const;
  uint32_t context() const;   // tokens it can hold
  uint32_t n_tokens() const;  // tokens it holds
  // Forgets all from n_tokens on; returns how many it still holds: 0 where a sliding window has
  // let go of what the next token would have to see.
  uint32_t rewind(uint32_t n_tokens);
  void set_hooks(ForwardHooks hooks);
  void set_input_scales(InputScales scales);
  // Of run_layers() and logits(); feed() has its own. kExact at first.
  void set_rounding(Rounding rounding);
  // Passes add to it what their operators take; null: they do not.
  void set_operator_times(OperatorTimes* times);

  // Runs tokens (any number that still fits) and returns the logits of the last one, (vocabulary);
  // valid until the next call. After an error the session holds the passes that were done.
  Result<std::span<const float>> feed(std::span<const Token> tokens);

  // As feeding the tokens one by one, bit for bit, but in one pass: the logits after each of them,
  // (n, vocabulary). At most min(batch, logit_rows) tokens; rewind() to any of them succeeds.
  Result<std::span<const float>> feed_each(std::span<const Token> tokens);
  uint32_t draft() const;               // most tokens to guess ahead, as planned
  std::span<uint32_t> lookup_memory();  // and where to look them up (prompt_lookup.h)

  // The steps that feed() is made of, for evaluate.h and compress/. At most batch() tokens at a
  // time; they do not count in n_tokens(). A pass may start anywhere up to where the last one of
  // that layer ended: 0 begins anew.
  uint32_t batch() const;
  uint32_t logit_rows() const;
  // position: of the first token. hidden: (n, width). kBadInput: no such token.
  Status embed(std::span<const Token> tokens, uint32_t position, float* hidden);
  // What embed() adds to the tokens' rows, where positions are learned.
  void add_positions(uint32_t position, int64_t n, float* hidden);
  // In place, through the KV cache.
  Status run_layers(uint32_t begin, uint32_t end, uint32_t position, int64_t n, float* hidden);
  // Another format of the layer's cache, of no more bytes than the one planned: what it holds is
  // void, and the next pass begins anew.
  void set_cache_format(uint32_t layer, KvFormat format);
  // The layer's weights stay in memory until let_go(): where they are streamed, all passes through
  // it until then read them once.
  Status hold_layer(uint32_t layer);
  // The same of some rows of a matrix, while no layer is held: of a layer's, or a block of the
  // head's (at most kVocabularyBlock, from one of their multiples on).
  Result<WeightRows> hold_rows(const Tensor& matrix, uint64_t first, uint64_t n);
  void let_go();
  // Layers are held from the last to the first from now on; false: as ever.
  void walk_back(bool back);
  // Where the rows of a tensor of a held layer lie, until let_go(); vectors lie still.
  WeightRows weight_rows(const Tensor& tensor) const;
  // What the request's adapter adds to what a matrix gives; null: nothing.
  const LowRankMatrix* low_rank(const Tensor& w) const;
  // What the head's input is: (n, width), final norm.
  void final_norm(const float* hidden, int64_t n, float* normed);
  // y (n, w.rows) = x (n, w.columns) w', by the session's threads; n <= batch(), columns as many as
  // a linear layer of the model may have.
  void multiply(const MatrixView& w, const float* x, int64_t n, float* y);
  // Final norm and head: (n, vocabulary); n <= logit_rows().
  Status logits(const float* hidden, int64_t n, float* out);
  float* hidden_buffer();  // (batch, width) and
  float* logits_buffer();  // (logit_rows, vocabulary), planned: feed() uses them too
  ThreadTeam& team();
  StreamStatistics stream_statistics() const;  // zeros where nothing is streamed

 private:
  struct State;
  Status check_room(size_t n) const;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace enxuto
