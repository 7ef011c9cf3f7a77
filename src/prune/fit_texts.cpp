#include "prune/fit_texts.h"

#include "compress/chunk_passes.h"

namespace enxuto {
namespace {

// What a session's hooks are while this lives.
class HooksFor {
 public:
  HooksFor(Session& session, ForwardHooks hooks) : session_(session) {
    session_.set_hooks(std::move(hooks));
  }
  ~HooksFor() { session_.set_hooks({}); }

 private:
  Session& session_;
};

}  // namespace

Result<FitTexts> FitTexts::begin(const Workbench& bench,
                                 const std::vector<std::vector<Token>>& chunks) {
  ASSIGN_OR_RETURN(HiddenStates states,
                   bench.take_states(bench.plan.shape.fit_chunks, bench.plan.shape.fit_tokens));
  FitTexts texts(bench, chunks, std::move(states));
  for (size_t c = 0; c < chunks.size(); ++c) {
    TRY(embed_chunk(bench.session, chunks[c], texts.states_.room(c)));
    TRY(texts.states_.store(c));
  }
  return texts;
}

Status FitTexts::run(uint32_t layer, ForwardHooks hooks) {
  const HooksFor scope(bench_.session, std::move(hooks));
  for (size_t c = 0; c < chunks_.size(); ++c) {
    ASSIGN_OR_RETURN(float* state, states_.load(c));
    TRY(run_chunk(bench_.session, layer, chunks_[c].size(), state));
    TRY(states_.store(c));
  }
  return {};
}

Status FitTexts::show(uint32_t layer, ForwardHooks hooks, const AfterPass& after) {
  const HooksFor scope(bench_.session, std::move(hooks));
  for (size_t c = 0; c < chunks_.size(); ++c) {
    ASSIGN_OR_RETURN(const float* state, states_.load(c));
    Status told;
    const auto tell = [&](size_t begin, size_t n, const float* out) {
      if (after && told.ok()) told = after(c, begin, n, out);
    };
    TRY(show_chunk(bench_.session, layer, chunks_[c].size(), state, tell));
    TRY(told);
  }
  return {};
}

Result<const float*> FitTexts::chunk(size_t c) {
  ASSIGN_OR_RETURN(const float* state, states_.load(c));
  return state;
}

}  // namespace enxuto
