#include "prune/distill_pruned.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "media/media_text.h"
#include "plan/merge_plan.h"
#include "platform/interrupt.h"
#include "platform/temporary_file.h"
#include "train/batches.h"
#include "train/learning_rate.h"
#include "train/merge_adapter.h"
#include "train/model_file.h"

namespace enxuto {
namespace {

constexpr uint32_t kContext = 512, kSequences = 2, kRank = 16;
constexpr uint64_t kTokens[] = {uint64_t{1} << 15, uint64_t{1} << 17, uint64_t{1} << 19};
constexpr uint64_t kMostEpochs = 3;
constexpr double kValidation = 0.05;
constexpr uint64_t kLeastWindows = 16;
constexpr uint64_t kBytesOfToken = 8;  // of text, more than any language takes
// As train has them for a model that exists; larger ones are not measured for long runs
// (docs/pruning.md).
constexpr float kRate = 5e-5f, kAdapterRate = 2e-4f;

// The text's tokens as training reads them.
Result<Sequences> sequences_of(const Tokenizer& tokenizer, std::string_view text, uint64_t tokens,
                               uint64_t context, const std::string& path) {
  ASSIGN_OR_RETURN(TokenFileWriter writer,
                   TokenFileWriter::create(path, tokenizer.vocabulary_size(), 0));
  const auto most = text.substr(0, tokens * kBytesOfToken);
  TRY(writer.add(encode_named(tokenizer, most, true), true));
  TRY(writer.finish({}));
  ASSIGN_OR_RETURN(TokenFile file, TokenFile::open(path));
  return Sequences::create(std::move(file), context, kValidation, 1, true);
}

Status check_text(const Tokenizer& tokenizer, std::string_view text, uint64_t context) {
  const uint64_t least = kLeastWindows * context + 1;
  const uint64_t n = encode_named(tokenizer, text.substr(0, least * kBytesOfToken), true).size();
  if (n >= least) return {};
  return Status::usage(
      fmt::format("the text has {} tokens: too few to learn from", format_count(n)),
      fmt::format("give one of {} and more: --calibration FILE", format_count(least)));
}

// A run over a text, without checkpoints.
class Distilling {
 public:
  Distilling(Trainer& trainer, const Sequences& data, const Teacher& teacher, uint64_t steps,
             const Progress& progress)
      : trainer_(trainer), batches_(trainer, data, &teacher), steps_(steps), progress_(progress) {}

  Result<DistillReport> run() {
    DistillReport report;
    report.of_adapter = trainer_.adapter() != nullptr;
    report.steps = steps_;
    report.tokens = steps_ * trainer_.layout().n_tokens;
    ASSIGN_OR_RETURN(const StepResult before, batches_.validate());
    report.kld_before = before.kld.value_or(0);
    const LearningRate rate{report.of_adapter ? kAdapterRate : kRate, steps_ / 10, steps_};
    const uint64_t batch = trainer_.layout().sequences;
    for (uint64_t step = 0; step < steps_; ++step) {
      if (interrupted()) return Status::interrupted();
      if (progress_)
        progress_("distilling", static_cast<double>(step) / static_cast<double>(steps_));
      TRY(trainer_.step(batches_.training(step * batch, batch), rate.at(step + 1)).status());
    }
    ASSIGN_OR_RETURN(const StepResult after, batches_.validate());
    report.kld = after.kld.value_or(0);
    return report;
  }

 private:
  Trainer& trainer_;
  Batches batches_;
  uint64_t steps_;
  const Progress& progress_;
};

Status write(Trainer& trainer, const Model& pruned, const DistillTask& task,
             const std::string& path, const Progress& progress) {
  if (!trainer.adapter()) return write_model_as(trainer, pruned, path, task.replace_output);
  return merge_adapter(pruned, *trainer.adapter(), path, task.replace_output,
                       task.training.n_threads, progress)
      .status();
}

}  // namespace

Result<TrainingRequest> choose_distillation(const Model& whole, std::string_view text,
                                            int n_threads, uint64_t memory_bytes) {
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(whole.metadata));
  TrainingRequest request;
  request.context = std::min(kContext, whole.hyper.trained_context);
  request.sequences = kSequences;
  request.teacher_top = teacher_top(whole);
  request.n_threads = n_threads, request.tokenizer_bytes = tokenizer->table_bytes();
  ASSIGN_OR_RETURN(const Dense dense, Dense::load());
  request.rounds_products = dense.multiplies_bf16();
  TRY(check_text(*tokenizer, text, request.context));
  const auto fit = [&](uint64_t beside = 0) {
    const uint64_t budget = memory_bytes ? memory_bytes : UINT64_MAX;
    return fit_training(whole, request, budget - std::min(beside, budget));
  };
  auto fitting = fit();
  request.optimizer = Optimizer::kAdamW8bit;
  if (!fitting.ok()) fitting = fit();
  request.weights = Type::BF16;
  if (!fitting.ok()) fitting = fit();
  request.weights = Type::F32, request.lora_rank = kRank;
  ASSIGN_OR_RETURN(const MergeLayout merge, lay_out_merge(*blank_adapter(whole, kRank)));
  if (!fitting.ok()) fitting = fit(merge.bytes + kMergeWindow);
  if (fitting.ok()) return fitting;
  return Status::does_not_fit(fitting.status().what(), "leave out --recover distill");
}

Result<DistillReport> distill_pruned(std::shared_ptr<const Model> whole,
                                     std::shared_ptr<const Model> pruned, const DistillTask& task,
                                     const std::string& output_path, const Progress& progress) {
  const TrainingRequest& request = task.training;
  const uint64_t most = kTokens[static_cast<size_t>(task.effort)], batch = request.sequences;
  const TemporaryFile tokens(output_path, "tokens"), taught(output_path, "teacher");
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(pruned->metadata));
  ASSIGN_OR_RETURN(const Sequences data,
                   sequences_of(*tokenizer, task.text, most, request.context, tokens.path()));
  const uint64_t sequences = std::min(most / request.context, kMostEpochs * data.n_training());
  const uint64_t steps = std::max<uint64_t>(1, sequences / batch);
  const TaughtWindows windows{std::min(steps * batch, data.n_training()),
                              std::min(data.n_validation(), kMostValidationSequences)};
  ASSIGN_OR_RETURN(const TeacherShape shape, teacher_shape(*whole, data, windows));
  TRY(write_teacher(whole, data, windows, shape,
                    teacher_request(request.context, request.n_threads, task.memory_bytes),
                    taught.path(), progress));
  whole->let_go();
  ASSIGN_OR_RETURN(TeacherFile file, TeacherFile::open(taught.path()));
  const Teacher teacher(std::move(file), windows);
  TrainerSettings settings;
  settings.request = request;
  settings.teacher_weight = 1;  // it is to be the whole model again, and not to learn this text
  ASSIGN_OR_RETURN(const auto trainer, Trainer::open(pruned, settings));
  ASSIGN_OR_RETURN(const DistillReport report,
                   Distilling(*trainer, data, teacher, steps, progress).run());
  if (report.better()) TRY(write(*trainer, *pruned, task, output_path, progress));
  return report;
}

}  // namespace enxuto
