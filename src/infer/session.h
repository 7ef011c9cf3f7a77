// A session: one sequence, its KV cache and its working memory, over a model that lies in its file.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "kernels/matmul.h"
#include "memory/arena.h"
#include "models/model.h"
#include "plan/plan.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

// Looks on while a pass computes (calibration), or puts another matrix in a tensor's place
// (sensitivity probes).
struct ForwardHooks {
  // Before a linear layer: its input, (n_tokens, tensor.columns()), rows x_stride floats apart.
  // Layers that share an input are told once each.
  std::function<void(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens)>
      on_linear_input;
  // The matrix to use in a tensor's place, or null for its own.
  std::function<const MatrixView*(const Tensor& tensor)> replacement;
};

class Session {
 public:
  static Result<std::unique_ptr<Session>> open(std::shared_ptr<const Model> model,
                                               const InferenceRequest& request);
  ~Session();

  const Model& model() const;
  const MemoryMap& memory_map() const;
  uint32_t context() const;        // tokens it can hold
  uint32_t n_tokens() const;       // tokens it holds
  void rewind(uint32_t n_tokens);  // forget all from there on
  void set_hooks(ForwardHooks hooks);

  // Runs tokens (any number that still fits) and returns the logits of the last one, (vocabulary);
  // valid until the next call.
  Result<std::span<const float>> feed(std::span<const Token> tokens);

  // The steps that feed() is made of, for eval/ and compress/. At most request.batch tokens at a
  // time.
  void embed(std::span<const Token> tokens, float* hidden);  // (n, width)
  void run_layers(uint32_t begin, uint32_t end, uint32_t position, int64_t n,
                  float* hidden);  // in place, through the KV cache
  void logits(const float* hidden, int64_t n,
              float* out);  // final norm and head: (n, vocabulary); n <= request.logit_rows
  ThreadTeam& team();

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace enxuto
