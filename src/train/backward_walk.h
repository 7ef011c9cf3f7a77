// Several texts through a frozen decoder, there and back, all of them through a layer before the
// next one is read. What is told is the gradient at each linear layer's output of the cross entropy
// against labels that the model itself draws.
//
// In memory are one layer's pieces for one text, and the states, which the plan may put in a file;
// inputs of layers wait in a file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "train/checkpoints.h"
#include "train/head_gradient.h"
#include "train/hidden_states.h"
#include "train/layer_gradient.h"

namespace enxuto {

// Calls body(first row, rows) over a matrix, piece after piece, always cut alike.
using RowPieces = std::function<Status(
    const Tensor& tensor, const std::function<Status(uint64_t first, const Tensor& rows)>& body)>;

class BackwardWalk {
 public:
  struct Memory {
    const GradientLayout& layout;
    uint8_t* pieces;                // layout.bytes
    std::span<uint8_t> checkpoint;  // checkpoint_bytes(), where a page begins
    HiddenStates& states;           // one for each text
    std::string folder;             // for the file of checkpoints
  };
  // Of each text at most layout.n_tokens tokens.
  BackwardWalk(Session& session, const Dense& dense, const Memory& memory, RowPieces head_rows,
               const std::vector<std::vector<Token>>& texts);

  // Told are the head, in blocks of rows, and then the layers from the last to the first; of each
  // all texts in order.
  using See = std::function<void(size_t text, const LinearGradient& linear)>;
  Status run(const See& see, const std::function<void(double done)>& tell);

  // After run: the gradient by what the embedding gave, in the states; and the labels.
  const HeadGradient& head() const { return head_; }

 private:
  Status embed();
  Status layers_there();
  Status head_there_and_back(const See& see);
  Status layers_back(const See& see);
  template <class Body>
  Status for_blocks(const Body& body);  // body(text, x, block)
  Result<float*> input_of(uint32_t layer, size_t text);
  Status keep_input(uint32_t layer, size_t text, const float* x);
  int64_t n_tokens(size_t text) const { return static_cast<int64_t>(texts_[text].size()); }
  size_t values(size_t text) const { return texts_[text].size() * hyper_.width; }
  void did(double layers);

  Session& session_;
  const HyperParameters& hyper_;
  Memory memory_;
  RowPieces head_rows_;
  const std::vector<std::vector<Token>>& texts_;
  LayerGradient layers_;
  HeadGradient head_;
  std::optional<Checkpoints> checkpoints_;
  std::function<void(double)> tell_;
  double done_ = 0;
};

}  // namespace enxuto
