#include "prune/part_costs.h"

#include <algorithm>
#include <cmath>

#include "compress/chunk_passes.h"
#include "plan/pruning_plan.h"
#include "prune/fit_texts.h"
#include "prune/probe_texts.h"

namespace enxuto {
namespace {

// Where true divergences are measured: of channels, so many quarters stay.
constexpr int64_t kProbedQuarters[] = {3, 2};

class Measurement {
 public:
  Measurement(const Workbench& bench, const Dense& dense, const CalibrationChunks& chunks,
              std::span<const Part> parts)
      : bench_(bench), dense_(dense), chunks_(chunks), parts_(parts) {}

  Result<std::vector<PartCosts>> run() {
    const uint32_t n_layers = bench_.model().hyper.n_layers;
    ASSIGN_OR_RETURN(FitTexts fit, FitTexts::begin(bench_, chunks_.fit));
    ASSIGN_OR_RETURN(ProbeTexts probes,
                     ProbeTexts::begin(bench_, chunks_.held_out, kProbesOfLayer * n_layers + 1));
    for (const Part part : parts_) {
      ASSIGN_OR_RETURN(PartRemoval removal, PartRemoval::create(bench_, dense_, part));
      removals_.push_back(std::move(removal));
    }
    ASSIGN_OR_RETURN(scratch_, PartRemoval::take_scratch(bench_));
    for (uint32_t l = 0; l < n_layers; ++l) {
      if (bench_.progress) bench_.progress("probing", static_cast<double>(l) / n_layers);
      TRY(bench_.session.hold_layer(l));
      TRY(measure_layer(l, fit, probes));
      bench_.session.let_go();
    }
    std::vector<size_t> states;
    for (const Probe& probe : probed_) states.push_back(probe.state);
    ASSIGN_OR_RETURN(const auto klds, probes.divergences(0, states));
    for (size_t i = 0; i < klds.size(); ++i) probed_[i].kld = klds[i];
    for (size_t i = 0; i < costs_.size(); ++i) price(i);
    return std::move(costs_);
  }

 private:
  struct Probe {
    size_t costs;  // of which part
    double loss;
    size_t state;
    double kld = 0;
  };

  bool has(uint32_t layer, Part part) const {
    const LayerWidths widths = bench_.model().hyper.widths(layer);
    return part == Part::kFfn ? widths.ffn_width > 0 : widths.n_kv_heads > 0;
  }

  Status measure_layer(uint32_t layer, FitTexts& fit, ProbeTexts& probes) {
    std::vector<PartRemoval*> here;
    for (size_t i = 0; i < parts_.size(); ++i)
      if (has(layer, parts_[i])) here.push_back(&removals_[i]);
    for (PartRemoval* removal : here) removal->open(layer);
    ForwardHooks hooks;
    hooks.on_linear_input = [&](const Tensor& t, const float* x, int64_t stride, int64_t n) {
      for (PartRemoval* removal : here) removal->see(t, x, stride, n);
    };
    TRY(fit.run(layer, std::move(hooks)));
    const size_t before = n_states_;
    for (size_t i = 0; i < parts_.size(); ++i)
      if (has(layer, parts_[i])) TRY(measure_part(layer, parts_[i], removals_[i], probes));
    for (size_t s = 1; s < before; ++s) TRY(probes.run(s, layer));
    return probes.run(0, layer);
  }

  // Losses of all levels, on the way down; a copy of the probe goes through those that are probed.
  Status measure_part(uint32_t layer, Part part, PartRemoval& removal, ProbeTexts& probes) {
    TRY(removal.start(scratch_));
    const int64_t all = removal.units();
    PartCosts costs{layer, part, {{static_cast<uint32_t>(all), 0, 0}}};
    const auto counts = part == Part::kFfn ? channel_counts(all) : head_counts(layer, all);
    std::vector<int64_t> probed = {counts.front(), counts.back()};
    if (part == Part::kFfn)
      for (size_t i = 0; i < probed.size(); ++i)
        probed[i] = *std::ranges::find_if(counts, [&](int64_t n) {
          return n <= all * kProbedQuarters[i] / 4 || n == counts.back();
        });
    for (const int64_t count : counts) {
      const double loss = count == 0 ? removal.removal().energy() : removal.keep(count);
      costs.levels.push_back({static_cast<uint32_t>(count), loss, 0});
      if (std::ranges::find(probed, count) == probed.end()) continue;
      if (count == 0) removal.clear();
      TRY(probes.fork(0, n_states_));
      bench_.session.set_hooks(replacing({&removal}));
      const Status status = probes.run(n_states_, layer);
      bench_.session.set_hooks({});
      TRY(status);
      probed_.push_back({costs_.size(), loss, n_states_++});
    }
    costs_.push_back(std::move(costs));
    return {};
  }

  std::vector<int64_t> channel_counts(int64_t all) const {
    const int64_t step = channel_step(static_cast<uint32_t>(all));
    std::vector<int64_t> counts;
    for (int64_t n = (all - 1) / step * step; n >= std::max(step, all / 4); n -= step)
      counts.push_back(n);
    return counts.empty() ? std::vector<int64_t>{all} : counts;
  }

  // The first layer keeps a head: llama.cpp asks it how large heads are.
  static std::vector<int64_t> head_counts(uint32_t layer, int64_t all) {
    std::vector<int64_t> counts;
    for (int64_t n = all - 1; n >= (layer == 0 ? 1 : 0); --n) counts.push_back(n);
    return counts.empty() ? std::vector<int64_t>{all} : counts;
  }

  // Divergence grows as the loss to some power, in between what was measured; below as the loss.
  void price(size_t which) {
    std::vector<Probe> known;
    for (const Probe& probe : probed_)
      if (probe.costs == which && probe.loss > 0) known.push_back(probe);
    std::ranges::sort(known, {}, &Probe::loss);
    for (PartLevel& level : costs_[which].levels) {
      if (level.loss <= 0 || known.empty()) continue;
      const Probe &first = known.front(), &last = known.back();
      double power = 1;
      if (level.loss > first.loss && last.loss > first.loss)
        power = std::max(0.0, std::log(last.kld / first.kld) / std::log(last.loss / first.loss));
      level.kld = first.kld * std::pow(level.loss / first.loss, power);
    }
  }

  const Workbench& bench_;
  const Dense& dense_;
  const CalibrationChunks& chunks_;
  std::span<const Part> parts_;
  std::vector<PartRemoval> removals_;
  std::span<float> scratch_;
  size_t n_states_ = 1;
  std::vector<Probe> probed_;
  std::vector<PartCosts> costs_;
};

}  // namespace

uint32_t channel_step(uint32_t ffn_width) {
  constexpr uint32_t kSuperBlock = 256, kFewest = 16;
  if (ffn_width >= kSuperBlock * kFewest) return kSuperBlock;
  return ffn_width >= 64 * 4 ? 64 : 32;
}

Result<std::vector<PartCosts>> measure_parts(const Workbench& bench, const Dense& dense,
                                             const CalibrationChunks& chunks,
                                             std::span<const Part> parts) {
  return Measurement(bench, dense, chunks, parts).run();
}

}  // namespace enxuto
