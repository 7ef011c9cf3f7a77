#include "prune/block_search.h"

#include <algorithm>

#include "prune/probe_texts.h"

namespace enxuto {
namespace {

// A block that is missed more than so many others at first is not tried again.
constexpr size_t kMostCandidates = 16;

class Search {
 public:
  Search(const Workbench& bench, ProbeTexts texts)
      : bench_(bench), texts_(std::move(texts)), n_layers_(bench.model().hyper.n_layers) {
    for (uint32_t l = 0; l < n_layers_; ++l) left_.push_back(l), candidates_.push_back(l);
  }

  Result<std::vector<RemovedBlock>> run(const std::function<bool(size_t)>& enough) {
    std::vector<RemovedBlock> removed;
    while (!enough(removed.size())) {
      ASSIGN_OR_RETURN(const auto klds, walk(removed.size()));
      std::vector<size_t> order(klds.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::ranges::stable_sort(order, {}, [&](size_t i) { return klds[i]; });
      const uint32_t gone = candidates_[order.front()];
      removed.push_back({gone, klds[order.front()]});
      std::erase(left_, gone);
      std::vector<uint32_t> next;
      for (size_t i = 1; i < std::min(order.size(), kMostCandidates + 1); ++i)
        next.push_back(candidates_[order[i]]);
      std::ranges::sort(next);
      candidates_ = std::move(next);
    }
    return removed;
  }

 private:
  static constexpr size_t kCurrent = 0;
  size_t state_without(uint32_t layer) const { return 1 + layer; }
  size_t whole() const { return 1 + n_layers_; }

  // What each candidate would cost; text goes through all that is left, with and without each.
  Result<std::vector<double>> walk(size_t round) {
    TRY(texts_.embed(kCurrent));
    std::vector<size_t> states;
    for (size_t i = 0; i < left_.size(); ++i) {
      if (bench_.progress)
        bench_.progress("probing", 1 - 1 / (1 + 0.2 * (static_cast<double>(round) +
                                                       static_cast<double>(i) /
                                                           static_cast<double>(left_.size()))));
      const uint32_t l = left_[i];
      TRY(bench_.session.hold_layer(l));
      for (const size_t state : states) TRY(texts_.run(state, l));
      if (std::ranges::find(candidates_, l) != candidates_.end()) {
        TRY(texts_.fork(kCurrent, state_without(l)));
        states.push_back(state_without(l));
      }
      TRY(texts_.run(kCurrent, l));
      bench_.session.let_go();
    }
    if (round == 0) TRY(texts_.fork(kCurrent, whole()));
    return texts_.divergences(whole(), states);
  }

  const Workbench& bench_;
  ProbeTexts texts_;
  uint32_t n_layers_;
  std::vector<uint32_t> left_, candidates_;  // ascending
};

}  // namespace

Result<std::vector<RemovedBlock>> search_blocks(const Workbench& bench,
                                                const std::vector<std::vector<Token>>& chunks,
                                                const std::function<bool(size_t)>& enough) {
  ASSIGN_OR_RETURN(ProbeTexts texts,
                   ProbeTexts::begin(bench, chunks, uint64_t{bench.model().hyper.n_layers} + 2));
  return Search(bench, std::move(texts)).run(enough);
}

}  // namespace enxuto
