#include "prune/prune.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/bytes.h"
#include "compress/calibration_text.h"
#include "media/media_text.h"
#include "platform/clock.h"
#include "platform/temporary_file.h"
#include "prune/block_search.h"
#include "prune/fit_texts.h"
#include "prune/layer_masking.h"
#include "prune/part_costs.h"
#include "prune/probe_texts.h"
#include "prune/pruned_file.h"
#include "prune/shape_search.h"
#include "tokenizer/smaller_vocabulary.h"

namespace enxuto {
namespace {

// Of a text, when tokens are counted in it.
constexpr size_t kMostText = 16 << 20;

std::string_view text_of(const PruneRequest& request) {
  return request.calibration_text.empty() ? builtin_calibration_text()
                                          : std::string_view(request.calibration_text);
}

class Pruning {
 public:
  Pruning(std::shared_ptr<const Model> model, const PruneRequest& request, const Progress& progress)
      : model_(std::move(model)), request_(request), progress_(progress) {}

  Result<CompressionPlan> plan() {
    TRY(choose_parts());
    TRY(set_room());
    TRY(plan_memory());
    return plan_;
  }

  Result<PruneReport> run(const std::string& output_path) {
    const auto start = std::chrono::steady_clock::now();
    TRY(plan().status());
    TRY(cut_text());
    ASSIGN_OR_RETURN(dense_, Dense::load());
    ASSIGN_OR_RETURN(arena_, Arena::open(plan_.stages));
    ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(output_path, request_.replace_output));
    ASSIGN_OR_RETURN(session_, Session::open(model_, plan_.inference));
    ASSIGN_OR_RETURN(reader_, TensorReader::open(*model_, plan_, *arena_));
    const std::string parent = std::filesystem::path(output_path).parent_path();
    const Workbench bench{plan_,     *session_, *arena_, *reader_, parent.empty() ? "." : parent,
                          progress_, nullptr};
    if (request_.announce) request_.announce(plan_.map);
    ASSIGN_OR_RETURN(const auto answer, choose(bench));
    report_.seconds = seconds_since(start);
    if (!answer) return std::move(report_);
    const ChosenShape& chosen = *answer;
    bench.clear();
    ASSIGN_OR_RETURN(PrunedFile file, PrunedFile::plan(*model_, chosen.shape, formats()));
    TRY(file.begin(out));
    TRY(file.write_outside(*reader_, session_->team()));
    TRY(settle(bench, chosen.shape, file));
    TRY(file.finish());
    TRY(out.commit());
    report_.shape = chosen.shape;
    report_.predicted_kld = chosen.kld;
    report_.file_bytes = file.bytes();
    report_.architecture = file.architecture();
    report_.layer_bytes = file.layer_bytes();
    report_.token_bytes =
        report_.layer_bytes - unmet_bytes(chosen.shape) + head_bytes(chosen.shape.tokens.size());
    report_.seconds = seconds_since(start);
    return std::move(report_);
  }

 private:
  Status choose_parts() {
    TRY(check_mixture());
    const Status uneven = can_be_uneven(*model_);
    uniform_ = request_.uniform || (request_.what == PruneWhat::kAuto && !uneven.ok());
    if (uniform_ && !model_->hyper.uneven.empty())
      return Status::usage("the layers of this model differ already", "leave out --uniform");
    switch (request_.what) {
      case PruneWhat::kAuto:
        parts_ = uneven.ok() && !uniform_ ? std::vector{Part::kAttention, Part::kFfn}
                                          : std::vector{Part::kFfn};
        break;
      case PruneWhat::kHeads:
        if (model_->layers.front().qkv)
          return Status::usage(fmt::format("llama.cpp wants all heads of a {}: they are as wide "
                                           "together as the model",
                                           model_->hyper.architecture),
                               "remove channels (--what channels --uniform), blocks or tokens");
        parts_ = {Part::kAttention};
        break;
      case PruneWhat::kChannels:
        parts_ = {Part::kFfn};
        break;
      case PruneWhat::kBlocks:
        if (model_->hyper.sliding_window)
          return Status::usage(
              "every n-th layer of this model sees all of the text, the others a "
              "window: without some blocks others would change their kind",
              "remove channels or heads: --what channels");
        break;
      case PruneWhat::kExperts:
        break;
      case PruneWhat::kVocabulary:
        if (request_.calibration_text.empty())
          return Status::usage("which tokens are needed depends on the text, and none is given",
                               "give text of the language or the domain: --calibration FILE");
        break;
      case PruneWhat::kWeights:
        TRY(can_be_masked(*model_, request_.masks));
        break;
    }
    return parts_.empty() || uniform_ ? Status() : uneven;
  }

  Status check_mixture() const {
    const HyperParameters& h = model_->hyper;
    const PruneWhat what = request_.what;
    if (h.n_experts == 0 && what == PruneWhat::kExperts)
      return Status::usage("this model has no experts", "remove something else: --what auto");
    const bool works =
        what == PruneWhat::kExperts || what == PruneWhat::kBlocks || what == PruneWhat::kVocabulary;
    if (h.n_experts == 0 || works) {
      if (what == PruneWhat::kExperts && request_.speedup > 0)
        return Status::usage(
            fmt::format("a token meets {} experts, however many there are: it gets no faster",
                        h.n_experts_used),
            "say --remove or --size");
      return {};
    }
    return Status::usage(
        "heads, channels and single weights of a mixture of experts cannot be removed yet",
        "remove experts, blocks or tokens: --what experts, blocks or vocabulary");
  }

  bool prunes_experts() const { return request_.what == PruneWhat::kExperts; }
  bool masks_weights() const { return request_.what == PruneWhat::kWeights; }
  Formats formats() const {
    return masks_weights() ? masked_formats(*model_, request_.masks) : Formats();
  }
  bool prunes_tokens() const { return request_.what == PruneWhat::kVocabulary; }
  // Of the head with so many tokens; 0: all.
  uint64_t head_bytes(uint64_t tokens = 0) const {
    return model_->output->row_bytes() * (tokens ? tokens : model_->output->rows());
  }

  // Of the layers, what a token does not read: a mixture's experts that it does not meet.
  uint64_t unmet_bytes(const ModelShape& shape) const {
    uint64_t bytes = 0;
    for (const LayerShape& layer : shape.layers) {
      const LayerWeights& w = model_->layers[layer.layer];
      for (const Tensor* t : {w.gate, w.up, w.down})
        if (w.router)
          bytes += t->row_bytes() * t->shape[1] * (layer.experts - model_->hyper.n_experts_used);
    }
    return bytes;
  }

  // The bytes that the layers may have.
  Status set_room() {
    const ModelShape whole = whole_shape(*model_);
    report_.source_bytes = model_->file_bytes;
    report_.source_layer_bytes = layer_bytes(*model_, whole);
    const uint64_t met = report_.source_layer_bytes - unmet_bytes(whole);
    report_.source_token_bytes = met + head_bytes();
    if (prunes_experts()) return set_experts();
    if (prunes_tokens() || masks_weights() || request_.choose_share) return {};
    const auto all = static_cast<double>(report_.source_layer_bytes);
    if (request_.size_bytes) {
      ASSIGN_OR_RETURN(const PrunedFile file, PrunedFile::plan(*model_, whole));
      // The header of layers that differ is a little larger: three numbers for each of them.
      const uint64_t fixed =
          file.bytes() - report_.source_layer_bytes + 12 * whole.layers.size() + 256;
      room_ = request_.size_bytes > fixed ? request_.size_bytes - fixed : 0;
      if (room_ == 0)
        return Status::does_not_fit(
            fmt::format("{} are less than the embedding and the head alone take",
                        format_bytes(request_.size_bytes)),
            fmt::format("they are {}: name a size above", format_bytes(fixed)));
    } else if (request_.speedup > 0) {
      const auto read = static_cast<double>(met), head = static_cast<double>(head_bytes());
      const double part = ((read + head) / request_.speedup - head) / read;
      room_ = part > 0 ? static_cast<uint64_t>(all * part) : 0;
    } else {
      room_ = static_cast<uint64_t>(all * (1 - request_.remove));
    }
    if (room_ >= report_.source_layer_bytes)
      return Status::usage("nothing has to go for that", "ask for a smaller model");
    return {};
  }

  // The same number in each layer, since a file has one number of them.
  Status set_experts() {
    const HyperParameters& h = model_->hyper;
    const uint32_t least = std::max(2u, h.n_experts_used);
    n_experts_ = h.n_experts;
    if (request_.size_bytes) {
      for (;; --n_experts_) {
        ASSIGN_OR_RETURN(const PrunedFile file, PrunedFile::plan(*model_, shape_of_experts()));
        if (file.bytes() <= request_.size_bytes) break;
        if (n_experts_ == least)
          return Status::does_not_fit(
              fmt::format("with {} experts, of which a token meets {}, the file still has {}",
                          least, h.n_experts_used, format_bytes(file.bytes())),
              fmt::format("name a size of at least {}: --size {}", format_bytes(file.bytes()),
                          file.bytes()));
      }
    } else {
      n_experts_ -= static_cast<uint32_t>(std::lround(h.n_experts * request_.remove));
      if (n_experts_ < least)
        return Status::does_not_fit(
            fmt::format("{} of {} experts would stay, and a token meets {}", n_experts_,
                        h.n_experts, h.n_experts_used),
            fmt::format("the most is --remove {:.3f}",
                        1 - static_cast<double>(least) / static_cast<double>(h.n_experts)));
    }
    if (n_experts_ == h.n_experts)
      return Status::usage("no expert has to go for that", "ask for a smaller model");
    return {};
  }

  ModelShape shape_of_experts() const {
    ModelShape shape = whole_shape(*model_);
    for (LayerShape& layer : shape.layers) layer.experts = n_experts_;
    return shape;
  }

  // What the work will take, its tokenizer's tables too; refused at once where that is more than it
  // may.
  Status plan_memory() {
    ASSIGN_OR_RETURN(tokenizer_, Tokenizer::create(model_->metadata));
    PruningRequest request;
    request.n_threads = request_.n_threads;
    request.effort = request_.effort;
    request.memory_bytes = request_.memory_bytes;
    request.tokenizer_bytes = tokenizer_->table_bytes();
    request.fits_columns = !parts_.empty();
    request.probes_parts = !parts_.empty() && !uniform_;
    request.probes_blocks = request_.what == PruneWhat::kBlocks;
    request.masks_weights = masks_weights();
    request.chooses_experts = prunes_experts();
    if (prunes_tokens()) request.text_bytes = std::min(text_of(request_).size(), kMostText);
    ASSIGN_OR_RETURN(plan_, plan_pruning(*model_, request));
    TRY(check_fits(plan_, request_.memory_bytes, "prune"));
    report_.map = plan_.map;
    return {};
  }

  Status cut_text() {
    if (prunes_tokens()) return {};
    const CalibrationShape& shape = plan_.shape;
    ASSIGN_OR_RETURN(chunks_, cut_calibration_text(*tokenizer_, text_of(request_),
                                                   {shape.fit_tokens, shape.fit_chunks,
                                                    shape.probe_tokens, shape.probe_chunks}));
    return {};
  }

  // Tokens that stay: so many, as few as the file's bytes or a token's ask for, or where nothing is
  // asked those that such text needs.
  Result<ChosenShape> choose_tokens() {
    if (progress_) progress_("choosing tokens", 0);
    const std::string_view text = std::string_view(request_.calibration_text).substr(0, kMostText);
    const std::vector<Token> tokens = encode_named(*tokenizer_, text, false);
    const uint64_t all = model_->hyper.vocabulary;
    uint64_t most = 0;
    if (request_.remove > 0)
      most = static_cast<uint64_t>(static_cast<double>(all) * (1 - request_.remove));
    if (request_.speedup > 0) most = tokens_for_speed();
    if (request_.size_bytes) most = all;
    ChosenShape chosen{whole_shape(*model_), 0};
    while (true) {
      ASSIGN_OR_RETURN(TokenChoice choice,
                       enxuto::choose_tokens(model_->metadata, *tokenizer_, tokens, most));
      report_.expected_growth = choice.expected_growth;
      report_.tokens_met = choice.met;
      chosen.shape.tokens = std::move(choice.kept);
      if (!request_.size_bytes) break;
      ASSIGN_OR_RETURN(const PrunedFile file, PrunedFile::plan(*model_, chosen.shape));
      if (file.bytes() <= request_.size_bytes) break;
      const uint64_t row =
          model_->token_embedding->row_bytes() + (model_->tied() ? 0 : model_->output->row_bytes());
      const uint64_t fewer = (file.bytes() - request_.size_bytes + row - 1) / row;
      if (fewer >= chosen.shape.tokens.size()) return no_tokens_left(file.bytes(), row);
      most = chosen.shape.tokens.size() - fewer;
    }
    if (chosen.shape.tokens.size() == all)
      return Status::usage("no token of this model can go for that", "say --remove");
    return chosen;
  }

  uint64_t tokens_for_speed() const {
    const auto layers = static_cast<double>(report_.source_token_bytes - head_bytes());
    const double head = (layers + static_cast<double>(head_bytes())) / request_.speedup - layers;
    const auto row = static_cast<double>(model_->output->row_bytes());
    return head > row ? static_cast<uint64_t>(head / row) : 1;
  }

  Status no_tokens_left(uint64_t bytes, uint64_t row) const {
    return Status::does_not_fit(
        fmt::format("even without its vocabulary the model is larger than {}",
                    format_bytes(request_.size_bytes)),
        fmt::format("it takes {} without: remove something else too",
                    format_bytes(bytes - row * model_->hyper.vocabulary)));
  }

  // Nothing: choose_share answered so.
  Result<std::optional<ChosenShape>> choose(const Workbench& bench) {
    if (request_.choose_share) return choose_among_shares(bench);
    ASSIGN_OR_RETURN(ChosenShape chosen, choose_one(bench));
    return std::optional(std::move(chosen));
  }

  Result<ChosenShape> choose_one(const Workbench& bench) {
    if (prunes_tokens()) return choose_tokens();
    if (request_.what == PruneWhat::kBlocks) return choose_blocks(bench);
    if (masks_weights()) return ChosenShape{whole_shape(*model_), 0};
    if (prunes_experts()) return ChosenShape{shape_of_experts(), 0};
    if (uniform_) return choose_uniform_shape(*model_, parts_, room_);
    ASSIGN_OR_RETURN(const auto costs, measure_parts(bench, dense_, chunks_, parts_));
    return choose_shape(*model_, costs, room_);
  }

  Result<std::optional<ChosenShape>> choose_among_shares(const Workbench& bench) {
    ASSIGN_OR_RETURN(const auto costs, measure_parts(bench, dense_, chunks_, parts_));
    std::vector<ChosenShape> shapes;
    std::vector<ShareCost> shares;
    for (const double share : request_.shares) {
      const double room = static_cast<double>(report_.source_layer_bytes) * (1 - share);
      auto shape = choose_shape(*model_, costs, static_cast<uint64_t>(room));
      if (shape.status().code() == Code::kDoesNotFit) continue;  // so much cannot go
      TRY(shape.status());
      ASSIGN_OR_RETURN(const PrunedFile file, PrunedFile::plan(*model_, shape->shape));
      shares.push_back({share, shape->kld, file.parameters()});
      shapes.push_back(*std::move(shape));
    }
    const std::optional<size_t> which = request_.choose_share(shares);
    if (!which) return std::optional<ChosenShape>();
    return std::optional(std::move(shapes[*which]));
  }

  Result<ChosenShape> choose_blocks(const Workbench& bench) {
    const ModelShape whole = whole_shape(*model_);
    std::vector<uint64_t> bytes;
    for (const LayerShape& layer : whole.layers)
      bytes.push_back(PrunedFile::part_bytes(*model_, layer, Part::kAttention) +
                      PrunedFile::part_bytes(*model_, layer, Part::kFfn));
    const uint64_t smallest = std::ranges::min(bytes);
    if (smallest > room_)
      return Status::does_not_fit(
          "not even one block is left of the model",
          fmt::format(
              "the least is --remove {:.2f}",
              1 - static_cast<double>(smallest) / static_cast<double>(report_.source_layer_bytes)));
    // All blocks weigh nearly the same: how many go is known beforehand.
    const uint64_t each = report_.source_layer_bytes / whole.layers.size();
    const uint64_t gone = (report_.source_layer_bytes - room_ + each - 1) / each;
    ASSIGN_OR_RETURN(const auto removed,
                     search_blocks(bench, chunks_.held_out, [&](size_t n) { return n >= gone; }));
    ChosenShape chosen{whole, removed.back().kld};
    for (const RemovedBlock& block : removed)
      std::erase_if(chosen.shape.layers,
                    [&](const LayerShape& layer) { return layer.layer == block.layer; });
    return chosen;
  }

  // Layer after layer: which parts stay, what makes up for the others, into the file.
  Status settle(const Workbench& bench, const ModelShape& shape, PrunedFile& file) {
    if (masks_weights()) return mask(bench, shape, file);
    if (prunes_experts()) return leave_experts(bench, shape, file);
    if (parts_.empty()) {
      for (const LayerShape& layer : shape.layers)
        TRY(file.write_layer(all_of(layer), *reader_, session_->team()));
      return {};
    }
    ASSIGN_OR_RETURN(FitTexts fit, FitTexts::begin(bench, chunks_.fit));
    ASSIGN_OR_RETURN(ProbeTexts probes, ProbeTexts::begin(bench, chunks_.held_out, 2));
    TRY(probes.embed(kPruned));
    ASSIGN_OR_RETURN(PartRemoval attention, PartRemoval::create(bench, dense_, Part::kAttention));
    ASSIGN_OR_RETURN(PartRemoval ffn,
                     PartRemoval::create(bench, dense_, Part::kFfn, request_.recover));
    std::optional<FitTexts> whole_texts;
    if (request_.recover) {
      ASSIGN_OR_RETURN(FitTexts texts, FitTexts::begin(bench, chunks_.fit));
      whole_texts.emplace(std::move(texts));
    }
    ASSIGN_OR_RETURN(const auto scratch, PartRemoval::take_scratch(bench));
    for (const LayerShape& layer : shape.layers) {
      if (progress_)
        progress_("pruning", static_cast<double>(layer.layer) / model_->hyper.n_layers);
      TRY(session_->hold_layer(layer.layer));
      if (whole_texts) TRY(whole_texts->run(layer.layer, {}));
      KeptLayer kept = all_of(layer);
      std::vector<const PartRemoval*> changed;
      const LayerWidths whole = model_->hyper.widths(layer.layer);
      if (layer.kv_heads < whole.n_kv_heads) {
        TRY(narrow(fit, nullptr, attention, layer.layer, layer.kv_heads, scratch, changed));
        kept.kv_heads = layer.kv_heads ? attention.removal().kept() : std::vector<uint32_t>();
        attention.put_values(kept);
      }
      if (layer.channels < whole.ffn_width) {
        TRY(narrow(fit, whole_texts ? &*whole_texts : nullptr, ffn, layer.layer, layer.channels,
                   scratch, changed));
        kept.channels = ffn.removal().kept();
        ffn.put_values(kept);
      }
      TRY(fit.run(layer.layer, replacing(changed)));
      TRY(run_probes(probes, layer.layer, replacing(changed)));
      session_->let_go();
      TRY(file.write_layer(kept, *reader_, session_->team()));
    }
    return compare(probes);
  }

  // How many weights of each layer go, by the outliers of the whole model.
  Result<std::vector<double>> measure_shares(const Workbench& bench, const ModelShape& shape) {
    ASSIGN_OR_RETURN(FitTexts fit, FitTexts::begin(bench, chunks_.fit));
    ASSIGN_OR_RETURN(LayerMasking masking, LayerMasking::create(bench, dense_, request_.masks));
    std::vector<LayerOutliers> outliers;
    for (const LayerShape& layer : shape.layers) {
      if (progress_)
        progress_("measuring outliers", static_cast<double>(layer.layer) / model_->hyper.n_layers);
      TRY(session_->hold_layer(layer.layer));
      ASSIGN_OR_RETURN(outliers.emplace_back(), masking.outliers(layer.layer, fit));
      TRY(fit.run(layer.layer, {}));
      session_->let_go();
    }
    bench.clear();
    return shares_by_outliers(outliers, request_.masks.pattern.share);
  }

  // The same, where single weights of each layer go.
  Status mask(const Workbench& bench, const ModelShape& shape, PrunedFile& file) {
    if (request_.masks.owl) {
      ASSIGN_OR_RETURN(report_.layer_shares, measure_shares(bench, shape));
    }
    ASSIGN_OR_RETURN(FitTexts fit, FitTexts::begin(bench, chunks_.fit));
    ASSIGN_OR_RETURN(ProbeTexts probes, ProbeTexts::begin(bench, chunks_.held_out, 2));
    TRY(probes.embed(kPruned));
    ASSIGN_OR_RETURN(LayerMasking masking, LayerMasking::create(bench, dense_, request_.masks));
    for (const LayerShape& layer : shape.layers) {
      if (progress_)
        progress_("pruning", static_cast<double>(layer.layer) / model_->hyper.n_layers);
      TRY(session_->hold_layer(layer.layer));
      if (request_.masks.owl) masking.set_share(report_.layer_shares[layer.layer]);
      TRY(masking.mask(layer.layer, fit));
      TRY(fit.run(layer.layer, masking.hooks()));
      TRY(run_probes(probes, layer.layer, masking.hooks()));
      session_->let_go();
      KeptLayer kept = all_of(layer);
      masking.put_values(kept);
      TRY(file.write_layer(kept, *reader_, session_->team()));
    }
    report_.masked = masking.kinds();
    return compare(probes);
  }

  // The same, where experts go. The texts go on as those that stay make them.
  Status leave_experts(const Workbench& bench, const ModelShape& shape, PrunedFile& file) {
    ASSIGN_OR_RETURN(FitTexts fit, FitTexts::begin(bench, chunks_.fit));
    ASSIGN_OR_RETURN(ProbeTexts probes, ProbeTexts::begin(bench, chunks_.held_out, 2));
    TRY(probes.embed(kPruned));
    for (const LayerShape& layer : shape.layers) {
      if (progress_)
        progress_("pruning", static_cast<double>(layer.layer) / model_->hyper.n_layers);
      TRY(session_->hold_layer(layer.layer));
      ASSIGN_OR_RETURN(ExpertChoice choice,
                       choose_experts(model_->hyper, layer.layer, layer.experts, fit));
      ForwardHooks without;
      without.gone_experts = choice.gone;
      TRY(fit.run(layer.layer, without));
      TRY(run_probes(probes, layer.layer, without));
      session_->let_go();
      KeptLayer kept = all_of(layer);
      kept.experts = choice.kept;
      TRY(file.write_layer(kept, *reader_, session_->team()));
      report_.experts.push_back(std::move(choice));
    }
    return compare(probes);
  }

  // The model as it was, and as it is with these hooks, through a layer.
  Status run_probes(ProbeTexts& probes, uint32_t layer, ForwardHooks pruned) {
    TRY(probes.run(kWhole, layer));
    session_->set_hooks(std::move(pruned));
    const Status status = probes.run(kPruned, layer);
    session_->set_hooks({});
    return status;
  }

  Status compare(ProbeTexts& probes) {
    const size_t pruned[] = {kPruned};
    ASSIGN_OR_RETURN(const auto klds, probes.divergences(kWhole, pruned));
    report_.kld = klds.front();
    return {};
  }

  static constexpr size_t kWhole = 0, kPruned = 1;

  // One part of a layer, on what the pruned layers before it and the part before it hand it.
  // whole: the same texts after this layer of the whole model, to be nearer to; null: they are not
  // looked at.
  Status narrow(FitTexts& fit, FitTexts* whole, PartRemoval& part, uint32_t layer, uint32_t count,
                std::span<float> scratch, std::vector<const PartRemoval*>& changed) {
    part.open(layer);
    if (count == 0) {
      part.clear();
      changed.push_back(&part);
      return {};
    }
    ForwardHooks hooks = replacing(changed);
    hooks.on_linear_input = [&](const Tensor& t, const float* x, int64_t stride, int64_t n) {
      part.see(t, x, stride, n);
    };
    const auto compare = [&](size_t chunk, size_t begin, size_t n, const float* out) -> Status {
      ASSIGN_OR_RETURN(const float* there, whole->chunk(chunk));
      part.compare(out, there + begin * model_->hyper.width, static_cast<int64_t>(n));
      return {};
    };
    TRY(fit.show(layer, std::move(hooks), whole ? compare : FitTexts::AfterPass()));
    TRY(part.start(scratch));
    part.keep(count);
    if (!request_.recover) TRY(part.forget_the_fit());
    changed.push_back(&part);
    return {};
  }

  static KeptLayer all_of(const LayerShape& layer) {
    KeptLayer kept{layer.layer, {}, {}, {}, {}};
    for (uint32_t i = 0; i < layer.experts; ++i) kept.experts.push_back(i);
    for (uint32_t i = 0; i < layer.kv_heads; ++i) kept.kv_heads.push_back(i);
    for (uint32_t i = 0; i < layer.channels; ++i) kept.channels.push_back(i);
    return kept;
  }

  std::shared_ptr<const Model> model_;
  const PruneRequest& request_;
  const Progress& progress_;
  PruneReport report_;
  std::vector<Part> parts_;
  bool uniform_ = false;
  uint64_t room_ = 0;       // bytes of all layers
  uint32_t n_experts_ = 0;  // that stay in each layer
  CompressionPlan plan_;
  std::unique_ptr<Tokenizer> tokenizer_;
  CalibrationChunks chunks_;
  Dense dense_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<TensorReader> reader_;
};

// Whether it can learn from the whole model is known before anything is pruned.
Result<TrainingRequest> check_distillation(const Model& model, const PruneRequest& request) {
  if (request.what == PruneWhat::kVocabulary || request.what == PruneWhat::kWeights)
    return Status::usage("only what lost heads, channels or blocks can learn from the whole model",
                         "say --recover local");
  return choose_distillation(model, text_of(request), request.n_threads, request.memory_bytes);
}

Result<PruneReport> prune_and_distill(std::shared_ptr<const Model> model,
                                      const std::string& output_path, const PruneRequest& request,
                                      const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  DistillTask task{
      text_of(request), request.effort, {}, request.memory_bytes, request.replace_output};
  ASSIGN_OR_RETURN(task.training, check_distillation(*model, request));
  ASSIGN_OR_RETURN(const MemoryMap training, plan_training(*model, task.training));
  const auto most = [&](const MemoryMap& map) {
    return map.total_bytes() > training.total_bytes() ? map : training;
  };
  TemporaryFile pruned(output_path, "pruned");
  PruneRequest local = request;
  local.announce = [&](const MemoryMap& map) {
    if (request.announce) request.announce(most(map));
  };
  ASSIGN_OR_RETURN(PruneReport report, Pruning(model, local, progress).run(pruned.path()));
  report.map = most(report.map);
  ASSIGN_OR_RETURN(const auto lean, open_model(pruned.path()));
  ASSIGN_OR_RETURN(report.distilled,
                   distill_pruned(std::move(model), lean, task, output_path, progress));
  if (!report.distilled->better()) TRY(pruned.become(output_path));
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace

Result<PruneReport> prune(std::shared_ptr<const Model> model, const std::string& output_path,
                          const PruneRequest& request, const Progress& progress) {
  if (request.distill) return prune_and_distill(std::move(model), output_path, request, progress);
  return Pruning(std::move(model), request, progress).run(output_path);
}

Result<CompressionPlan> plan_prune(std::shared_ptr<const Model> model,
                                   const PruneRequest& request) {
  const Progress quiet;
  return Pruning(std::move(model), request, quiet).plan();
}

}  // namespace enxuto
