#include "train/backward_walk.h"

#include <algorithm>

#include "platform/interrupt.h"

namespace enxuto {

BackwardWalk::BackwardWalk(Session& session, const Dense& dense, const Memory& memory,
                           RowPieces head_rows, const std::vector<std::vector<Token>>& texts)
    : session_(session),
      hyper_(session.model().hyper),
      memory_(memory),
      head_rows_(std::move(head_rows)),
      texts_(texts),
      layers_(session, dense, memory.layout, memory.pieces),
      head_(session, dense, memory.layout, memory.pieces, texts) {}

Status BackwardWalk::run(const See& see, const std::function<void(double)>& tell) {
  tell_ = tell;
  ASSIGN_OR_RETURN(checkpoints_, Checkpoints::create(memory_.folder, memory_.checkpoint,
                                                     (hyper_.n_layers + 1) * texts_.size()));
  TRY(embed());
  TRY(layers_there());
  TRY(head_there_and_back(see));
  return layers_back(see);
}

Status BackwardWalk::embed() {
  for (size_t text = 0; text < texts_.size(); ++text) {
    const std::span<const Token> tokens = texts_[text];
    float* state = memory_.states.room(text);
    for (size_t begin = 0; begin < tokens.size(); begin += session_.batch()) {
      const size_t n = std::min<size_t>(session_.batch(), tokens.size() - begin);
      TRY(session_.embed(tokens.subspan(begin, n), static_cast<uint32_t>(begin),
                         state + begin * hyper_.width));
    }
    TRY(memory_.states.store(text));
    TRY(keep_input(0, text, state));
  }
  return Status();
}

Status BackwardWalk::layers_there() {
  for (uint32_t l = 0; l < hyper_.n_layers; ++l) {
    TRY(session_.hold_layer(l));
    for (size_t text = 0; text < texts_.size(); ++text) {
      if (interrupted()) return Status::interrupted();
      ASSIGN_OR_RETURN(float* x, memory_.states.load(text));
      layers_.forward(l, {1, n_tokens(text)}, x, x);
      TRY(memory_.states.store(text));
      TRY(keep_input(l + 1, text, x));
    }
    session_.let_go();
    did(1);
  }
  return Status();
}

// From here on the states are gradients.
Status BackwardWalk::head_there_and_back(const See& see) {
  TRY(for_blocks([&](size_t text, const float* x, const HeadBlock& block) {
    head_.draw(text, x, block);
    return Status();
  }));
  TRY(for_blocks([&](size_t text, const float* x, const HeadBlock& block) -> Status {
    float* gradient = memory_.states.room(text);
    if (block.first > 0) {
      ASSIGN_OR_RETURN(gradient, memory_.states.load(text));
    }
    head_.backward(text, x, block, gradient,
                   [&](const LinearGradient& linear) { see(text, linear); });
    return memory_.states.store(text);
  }));
  for (size_t text = 0; text < texts_.size(); ++text) {
    ASSIGN_OR_RETURN(const float* x, input_of(hyper_.n_layers, text));
    ASSIGN_OR_RETURN(float* gradient, memory_.states.load(text));
    head_.norm_back(text, x, gradient);
    TRY(memory_.states.store(text));
  }
  return Status();
}

Status BackwardWalk::layers_back(const See& see) {
  session_.walk_back(true);
  for (uint32_t l = hyper_.n_layers; l-- > 0;) {
    TRY(session_.hold_layer(l));
    for (size_t text = 0; text < texts_.size(); ++text) {
      if (interrupted()) return Status::interrupted();
      ASSIGN_OR_RETURN(const float* x, input_of(l, text));
      ASSIGN_OR_RETURN(float* gradient, memory_.states.load(text));
      layers_.backward(l, {1, n_tokens(text)}, x, gradient,
                       {[&](const LinearGradient& linear) { see(text, linear); }, {}});
      TRY(memory_.states.store(text));
    }
    session_.let_go();
    did(2);
  }
  session_.walk_back(false);
  return Status();
}

template <class Body>
Status BackwardWalk::for_blocks(const Body& body) {
  const Tensor& head = *session_.model().output;
  return head_rows_(head, [&](uint64_t first, const Tensor& rows) -> Status {
    for (uint64_t r = 0; r < rows.rows(); r += kVocabularyBlock) {
      const HeadBlock block = HeadBlock::of(rows, r, first + r);
      for (size_t text = 0; text < texts_.size(); ++text) {
        if (interrupted()) return Status::interrupted();
        ASSIGN_OR_RETURN(const float* x, input_of(hyper_.n_layers, text));
        TRY(body(text, x, block));
      }
    }
    return Status();
  });
}

// Valid until the next call.
Result<float*> BackwardWalk::input_of(uint32_t layer, size_t text) {
  auto* x = reinterpret_cast<float*>(memory_.pieces + memory_.layout.x);
  TRY(checkpoints_->load(layer * texts_.size() + text, {x, values(text)}));
  return x;
}

Status BackwardWalk::keep_input(uint32_t layer, size_t text, const float* x) {
  return checkpoints_->store(layer * texts_.size() + text, {x, values(text)});
}

// In layers run forward: the way back is there again, and back.
void BackwardWalk::did(double layers) {
  done_ += layers;
  if (tell_) tell_(std::min(1.0, done_ / (3.0 * hyper_.n_layers)));
}

}  // namespace enxuto
