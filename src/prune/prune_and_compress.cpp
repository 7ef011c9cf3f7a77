#include "prune/prune_and_compress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "infer/evaluate.h"
#include "plan/format_mix.h"
#include "plan/goal.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/temporary_file.h"
#include "prune/pruned_file.h"
#include "prune/shape_search.h"

namespace enxuto {
namespace {

constexpr double kShares[] = {0.05, 0.1, 0.15, 0.2, 0.3, 0.4};
// Losses by pruning and by rounding add up to more than their sum: what is predicted of both has to
// be so much better before a pruned file is made at all.
constexpr double kMargin = 0.9;
constexpr uint32_t kJudgedTokens = 256, kJudgedChunks = 32;

ChunkLimits limits_of(const CalibrationShape& shape) {
  return {shape.fit_tokens, shape.fit_chunks, shape.probe_tokens, shape.probe_chunks};
}

class PruneAndCompress {
 public:
  PruneAndCompress(std::shared_ptr<const Model> model, const std::string& output_path,
                   const CompressRequest& request, const Progress& progress)
      : model_(std::move(model)),
        output_path_(output_path),
        request_(request),
        progress_(progress),
        unpruned_(output_path, "unpruned"),
        pruned_(output_path, "pruned"),
        rounded_(output_path, "rounded") {}

  Result<ChosenCompression> run() {
    const auto start = std::chrono::steady_clock::now();
    TRY(check());
    TRY(compress_source());
    TRY(prune_source());
    if (choice_.tried_share > 0) TRY(compress_pruned());
    TemporaryFile* kept = &unpruned_;
    if (pruned_report_) {
      ASSIGN_OR_RETURN(const bool better, pruned_is_better());
      if (better) kept = &rounded_;
    }
    TRY(kept->become(output_path_));
    ChosenCompression chosen{std::move(source_report_), model_, std::move(choice_)};
    if (kept == &rounded_) take_pruned(chosen);
    if (!request_.curve) chosen.report.curve = {};
    chosen.report.map = map_;
    chosen.report.seconds = seconds_since(start);
    return chosen;
  }

 private:
  // All that can be refused, before any work; what the phase that needs most takes.
  Status check() {
    for (const auto& file : model_->files)
      if (same_file(file->path(), output_path_))
        return Status::usage(fmt::format("{} is the input itself", output_path_),
                             "write the result under another name");
    if (is_directory(output_path_))
      return Status::usage(fmt::format("{} is a folder", output_path_), "name a file to write");
    TRY(check_is_free(output_path_, request_.replace_output));
    ASSIGN_OR_RETURN(parameters_, count_parameters(*model_));
    ASSIGN_OR_RETURN(smallest_, smallest_file_bytes(model_, request_));
    TRY(check_size());
    ASSIGN_OR_RETURN(tokenizer_, Tokenizer::create(model_->metadata));
    ASSIGN_OR_RETURN(
        const CompressionPlan compression,
        plan_compression(*model_, {request_.n_threads, request_.effort, request_.memory_bytes,
                                   tokenizer_->table_bytes(), !request_.state_folder.empty(),
                                   request_.target_bytes}));
    TRY(check_fits(compression, request_.memory_bytes));
    ASSIGN_OR_RETURN(const CompressionPlan pruning, plan_prune(model_, prune_request()));
    judged_ = cut_beside(*tokenizer_, text(),
                         std::vector{limits_of(compression.shape), limits_of(pruning.shape)},
                         std::min(kJudgedTokens, model_->hyper.trained_context), kJudgedChunks);
    ASSIGN_OR_RETURN(const MemoryMap judging, plan_judging());
    for (const MemoryMap* map : {&compression.map, &pruning.map, &judging})
      if (map->total_bytes() > map_.total_bytes()) map_ = *map;
    return {};
  }

  // Even the most that can go has to leave as many bits to each weight as there are at the least.
  Status check_size() const {
    if (has_unpruned()) return {};
    const ModelShape whole = whole_shape(*model_);
    ASSIGN_OR_RETURN(const PrunedFile file, PrunedFile::plan(*model_, whole));
    const double layers =
        static_cast<double>(layer_bytes(*model_, whole)) / static_cast<double>(file.bytes());
    const double least =
        static_cast<double>(smallest_) * (1 - layers * kShares[std::size(kShares) - 1]);
    if (static_cast<double>(request_.target_bytes) >= least) return {};
    return Status::does_not_fit(
        fmt::format("{} bytes are too few for this model, also pruned",
                    format_count(request_.target_bytes)),
        fmt::format("the smallest it can be is {} bytes, pruned about {}", format_count(smallest_),
                    format_count(static_cast<uint64_t>(least))));
  }

  bool has_unpruned() const { return request_.target_bytes >= smallest_; }

  std::string_view text() const {
    return request_.calibration_text.empty() ? builtin_calibration_text()
                                             : std::string_view(request_.calibration_text);
  }

  PruneRequest prune_request() const {
    PruneRequest request;
    request.shares.assign(std::begin(kShares), std::end(kShares));
    request.choose_share = [](const auto&) { return std::optional<size_t>(); };
    request.calibration_text = request_.calibration_text;
    request.effort = request_.effort;
    request.n_threads = request_.n_threads;
    request.memory_bytes = request_.memory_bytes;
    request.replace_output = true;
    return request;
  }

  EvaluateOptions judging() const {
    const size_t tokens = judged_.empty() ? kJudgedTokens : judged_.front().size();
    EvaluateOptions options{evaluation_request(static_cast<uint32_t>(tokens), request_.n_threads)};
    options.request.tokenizer_bytes = tokenizer_->table_bytes();
    options.request.memory_bytes = request_.memory_bytes;
    return options;
  }

  // Of two models as large as the source, which is more than there will be.
  Result<MemoryMap> plan_judging() const {
    const InferenceRequest request = judging().request;
    if (request.memory_bytes) {
      const InferenceRequest half = share_evaluation(request, true).reference;
      TRY(check_fits(*model_, half, half.memory_bytes).in("comparing with the source"));
    }
    return plan_evaluation(*model_, model_.get(), request);
  }

  // The file without pruning, where there can be one, and the curve.
  Status compress_source() {
    CompressRequest request = request_;
    request.curve = true;
    request.replace_output = true;
    if (!has_unpruned()) request.target_bytes = 0;
    request.announce = [&](const MemoryMap&, const std::vector<StageTime>& stages) {
      if (request_.announce) request_.announce(map_, stages);
    };
    ASSIGN_OR_RETURN(source_report_,
                     compress(model_, has_unpruned() ? unpruned_.path() : "", request, progress_));
    source_report_.target_bytes = request_.target_bytes;
    return {};
  }

  // Measures what pruning costs, and prunes where that is predicted to pay.
  Status prune_source() {
    PruneRequest request = prune_request();
    request.choose_share = [this](const std::vector<ShareCost>& costs) { return choose(costs); };
    ASSIGN_OR_RETURN(const PruneReport report,
                     prune(model_, pruned_.path(), request, phase("pruning")));
    pruning_kld_ = report.kld;
    if (report.file_bytes || has_unpruned()) return {};
    return Status::does_not_fit(
        fmt::format("{} bytes are too few for this model, also pruned",
                    format_count(request_.target_bytes)),
        fmt::format("without pruning the smallest it can be is {} bytes: --size {}",
                    format_count(smallest_), smallest_));
  }

  std::optional<size_t> choose(const std::vector<ShareCost>& costs) {
    const auto target = static_cast<double>(request_.target_bytes);
    double limit = HUGE_VAL;
    if (has_unpruned()) {
      choice_.weighed.push_back({0, source_report_.predicted_kld});
      limit = kMargin * source_report_.predicted_kld;
    }
    std::optional<size_t> best;
    for (size_t i = 0; i < costs.size(); ++i) {
      // As many bits for each weight as the source would have in a larger file.
      const double larger =
          static_cast<double>(parameters_) / static_cast<double>(costs[i].parameters);
      const auto rounding = kld_at(source_report_.curve, target * larger);
      if (!rounding) continue;
      choice_.weighed.push_back({costs[i].share, costs[i].kld + *rounding});
      if (choice_.weighed.back().predicted_kld >= limit) continue;
      limit = choice_.weighed.back().predicted_kld;
      best = i;
    }
    // Nothing says which is better where there is no text for it.
    if (judged_.empty() && has_unpruned()) return {};
    if (best) choice_.tried_share = costs[*best].share;
    return best;
  }

  Status compress_pruned() {
    model_->let_go();  // which is not looked at until both are judged
    ASSIGN_OR_RETURN(pruned_model_, open_model(pruned_.path()));
    CompressRequest request = request_;
    request.curve = false;
    request.state_folder.clear();
    request.replace_output = true;
    request.announce = nullptr;
    request.notice = nullptr;  // the same as of the source
    auto report = compress(pruned_model_, rounded_.path(), request, phase("pruned"));
    // A format that a pin asks for does not divide what is left, or the embedding, of which nothing
    // went, leaves too few bits.
    const Code code = report.status().code();
    if (has_unpruned() && (code == Code::kUsage || code == Code::kDoesNotFit)) return {};
    TRY(report.status());
    pruned_report_ = *std::move(report);
    pruned_model_->let_go();
    return {};
  }

  Result<bool> pruned_is_better() {
    if (!has_unpruned() && judged_.empty()) return true;
    ASSIGN_OR_RETURN(choice_.kld_pruned, judge(rounded_.path()));
    if (!has_unpruned()) return true;
    ASSIGN_OR_RETURN(choice_.kld_unpruned, judge(unpruned_.path()));
    return choice_.kld_pruned < choice_.kld_unpruned;
  }

  Result<double> judge(const std::string& path) {
    std::vector<Token> tokens;
    for (const auto& chunk : judged_) tokens.insert(tokens.end(), chunk.begin(), chunk.end());
    ASSIGN_OR_RETURN(auto candidate, open_model(path));
    ASSIGN_OR_RETURN(
        const Evaluation evaluation,
        evaluate_tokens(std::move(candidate), model_, tokens, judging(), phase("comparing")));
    choice_.judged_tokens = evaluation.scored_tokens;
    return evaluation.kld_mean;
  }

  void take_pruned(ChosenCompression& chosen) {
    CompressReport& report = *pruned_report_;
    report.curve = std::move(chosen.report.curve);
    report.cautions = std::move(chosen.report.cautions);
    report.taken_over = std::move(chosen.report.taken_over);
    report.state_bytes = chosen.report.state_bytes;
    report.input_bytes = model_->file_bytes;
    report.predicted_kld += pruning_kld_;
    chosen.report = std::move(report);
    chosen.model = pruned_model_;
    chosen.choice.share = chosen.choice.tried_share;
  }

  // Stages of what follows have other names than those of the source.
  Progress phase(std::string name) const {
    if (!progress_) return {};
    return [this, name = std::move(name)](std::string_view stage, double done) {
      progress_(fmt::format("{}: {}", name, stage), done);
    };
  }

  std::shared_ptr<const Model> model_, pruned_model_;
  const std::string& output_path_;
  const CompressRequest& request_;
  const Progress& progress_;
  TemporaryFile unpruned_, pruned_, rounded_;
  uint64_t parameters_ = 0, smallest_ = 0;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<std::vector<Token>> judged_;
  MemoryMap map_;
  CompressReport source_report_;
  std::optional<CompressReport> pruned_report_;
  double pruning_kld_ = 0;
  PruningChoice choice_;
};

}  // namespace

std::optional<double> kld_at(const Curve& curve, double bytes) {
  constexpr double kLeast = 1e-9;
  const CurvePoint* before = nullptr;
  for (const CurvePoint& point : curve.points) {
    const auto at = static_cast<double>(point.file_bytes);
    if (at > bytes) {
      if (!before) return {};
      const auto from = static_cast<double>(before->file_bytes);
      const double low = std::log(std::max(before->predicted_kld, kLeast));
      const double high = std::log(std::max(point.predicted_kld, kLeast));
      return std::exp(low + (high - low) * (bytes - from) / (at - from));
    }
    before = &point;
  }
  if (!before) return {};
  return before->predicted_kld;
}

Status can_prune_and_compress(const Model& model) { return can_be_uneven(model); }

Result<ChosenCompression> prune_and_compress(std::shared_ptr<const Model> model,
                                             const std::string& output_path,
                                             const CompressRequest& request,
                                             const Progress& progress) {
  return PruneAndCompress(std::move(model), output_path, request, progress).run();
}

}  // namespace enxuto
