// plan: the memory that a command takes, part by part, before anything is taken; and what fits.
#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/plan_report.h"
#include "cli/progress_bar.h"
#include "cli/text_input.h"
#include "cli/train_proposal.h"
#include "plan/compression_plan.h"
#include "plan/goal.h"
#include "plan/html_page.h"
#include "plan/pruning_plan.h"
#include "plan/training.h"
#include "platform/file.h"
#include "tokenizer/tokenizer.h"
#include "train/teacher.h"

namespace enxuto {
namespace {

uint32_t texts(const PlanOptions& options) { return std::max(options.sequences, 1u); }
bool runs(const PlanOptions& options) { return options.goal == "run" || options.goal == "serve"; }

// What the goal's own command would ask for.
InferenceRequest request_for(const PlanOptions& options, const Model& model) {
  InferenceRequest request = inference_request(options, options.context, options.batch);
  const uint64_t memory_bytes = request.memory_bytes;
  if (options.goal == "eval") {
    request = evaluation_request(options.context ? options.context : chunk_tokens_of(model),
                                 options.threads());
    request.memory_bytes = memory_bytes;
    request.kv = options.kv;
  } else if (options.goal == "bench" && !options.context)
    request.context = BenchOptions().prefill_tokens;
  if (runs(options)) request.sequences = texts(options);
  if (const auto tokenizer = Tokenizer::create(model.metadata); tokenizer.ok())
    request.tokenizer_bytes = (*tokenizer)->table_bytes();
  return request;
}

// What the model itself says of its KV cache, where that is asked for; the request takes the
// formats that are left to us.
Result<std::optional<MeasuredCache>> measure(const PlanOptions& options,
                                             std::shared_ptr<const Model> model,
                                             InferenceRequest& request) {
  std::optional<MeasuredCache> measured;
  if (!options.measure && !options.automatic.any()) return measured;
  if (!runs(options))
    return Status::usage("--measure and -ctk auto are for plans to run or serve",
                         "leave out --for, or name the formats");
  ASSIGN_OR_RETURN(measured, measure_cache(model, options, request));
  if (options.automatic.any()) request.kv = measured->chosen;
  return measured;
}

// The request with its weights mapped, whatever the budget: choices and lessons are about the whole
// model.
InferenceRequest mapped(InferenceRequest request) {
  request.memory_bytes = 0;
  request.draft = 0;
  return request;
}

TrainingRequest training_request(const PlanOptions& options, const Model& model,
                                 const InferenceRequest& request) {
  TrainingRequest training = training_request(options, options.learning);
  training.context = options.context;
  training.sequences = texts(options), training.ranks = options.ranks;
  training.tokenizer_bytes = request.tokenizer_bytes;
  if (!options.teacher.empty()) training.teacher_top = teacher_top(model);
  return training;
}

Result<MemoryMap> map_for(const PlanOptions& options, const Model& model,
                          const InferenceRequest& request) {
  if (options.goal != "train") return plan_inference(model, request);
  TrainingRequest training = training_request(options, model, request);
  const auto fitting = fit_training(model, training, memory_budget(options).bytes);
  training.pass_sequences = 1;
  return plan_training(model, fitting.ok() ? *fitting : training);
}

// What the teacher takes, before the training.
Result<uint64_t> teacher_bytes(const PlanOptions& options, uint32_t context) {
  ASSIGN_OR_RETURN(const auto teacher, open_model(options.teacher, /*weights_needed=*/false));
  const auto request = teacher_request(context, options.threads(), memory_budget(options).bytes);
  TRY(check_fits(*teacher, request, request.memory_bytes).in("the teacher"));
  ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(*teacher, request));
  return map.total_bytes();
}

// Goals that run text through the model stage by stage, with a plan of their own.
bool has_stages(const PlanOptions& options) {
  return options.goal == "compress" || options.goal == "prune";
}

// The plan by which compress or prune itself works within the budget.
Result<CompressionPlan> plan_of_stages(const PlanOptions& options, const Model& model,
                                       const InferenceRequest& request) {
  if (options.goal == "prune") {
    PruningRequest pruning;
    pruning.n_threads = request.n_threads;
    pruning.effort = options.effort;
    pruning.memory_bytes = memory_budget(options).bytes;
    pruning.tokenizer_bytes = request.tokenizer_bytes;
    pruning.fits_columns = pruning.probes_parts = true;
    return plan_pruning(model, pruning);
  }
  return plan_compression(model, {request.n_threads, options.effort, memory_budget(options).bytes,
                                  request.tokenizer_bytes});
}

Status verdict(const PlanOptions& options, const Model& model, const InferenceRequest& request,
               const PlanReport& report) {
  if (report.fits()) return {};
  if (has_stages(options)) {
    ASSIGN_OR_RETURN(const CompressionPlan plan, plan_of_stages(options, model, request));
    return check_fits(plan, report.budget.bytes, options.goal);
  }
  if (options.goal != "train") return check_budget(model, request, options);
  return fit_training(model, training_request(options, model, request), report.budget.bytes)
      .status();
}

Status write_page(const PlanOptions& options, const Model& model, const InferenceRequest& request,
                  const PlanReport& report) {
  PlanPage page{model.hyper.name.empty() ? options.model : model.hyper.name,
                report.goal,
                report.map,
                report.budget.bytes,
                report.budget.source,
                report.choices,
                {}};
  ASSIGN_OR_RETURN(page.lessons, teach_memory(model, mapped(request)));
  return write_text_file(options.html_file, html_page(page), /*replace=*/true);
}

Result<PlanReport> make_report(const PlanOptions& options, const Model& model,
                               const InferenceRequest& request,
                               std::optional<MeasuredCache> measured) {
  PlanReport report;
  report.goal = options.goal == "run" && texts(options) > 1 ? "serve" : options.goal;
  report.budget = memory_budget(options);
  if (has_stages(options)) {
    ASSIGN_OR_RETURN(CompressionPlan plan, plan_of_stages(options, model, request));
    ASSIGN_OR_RETURN(report.layout, lay_out_session(model, plan.inference));
    report.map = std::move(plan.map);
    return report;
  }
  ASSIGN_OR_RETURN(report.layout, lay_out_session(model, request));
  ASSIGN_OR_RETURN(report.map, map_for(options, model, request));
  if (options.goal == "train" && !options.teacher.empty()) {
    ASSIGN_OR_RETURN(report.teacher_bytes, teacher_bytes(options, report.layout.context));
  }
  if (options.goal == "train") return report;
  ASSIGN_OR_RETURN(const WeightPlan weights, plan_weights(model, request));
  report.streamed_bytes = weights.streams ? weights.streamed_bytes() : 0;
  if (!runs(options)) return report;
  report.suggestions = suggest(model, request, report.budget.bytes);
  ChoiceQuestion question{
      mapped(request), report.budget.bytes, static_cast<double>(options.bandwidth), {}};
  if (measured)
    for (const auto& whole : measured->wholes)
      question.measured.push_back({whole.layers, whole.score.kld_mean});
  ASSIGN_OR_RETURN(report.choices, weigh_choices(model, question));
  report.measured = std::move(measured);
  return report;
}

// The plan that `train --hours` makes, of a model that is not there yet.
Status plan_new_model(const PlanOptions& options) {
  if (options.goal != "train" || options.hours == 0)
    return Status::usage("MODEL is missing", "name it; or a new one: --for train --hours 8");
  NewModelWish wish{options.hours,
                    {},
                    options.data,
                    TrainOptions().validation,
                    options.parameters,
                    memory_budget(options).bytes,
                    0,
                    training_request(options, options.learning)};
  wish.request.context = options.context;
  wish.request.sequences = options.sequences, wish.request.ranks = options.ranks;
  ProgressBar progress;
  PlanReport report;
  ASSIGN_OR_RETURN(const TrainingProposal proposal, propose_here(wish, progress.callback()));
  progress.erase();
  report.goal = options.goal, report.budget = memory_budget(options);
  report.map = proposal.map;
  ASSIGN_OR_RETURN(const auto model, placeholder_model(proposal.shape, proposal.vocabulary));
  InferenceRequest request = inference_request(options, proposal.request.context);
  ASSIGN_OR_RETURN(report.layout, lay_out_session(*model, request));
  if (options.json) {
    Json json = plan_json(report);
    json["proposal"] = proposal_json(proposal, options.hours);
    print_json(json);
    return {};
  }
  print_plan(report);
  for (const std::string& line : proposal_lines(proposal, options.hours)) fmt::print("{}\n", line);
  return {};
}

}  // namespace

Status plan_command(const PlanOptions& options) {
  if (options.model.empty()) return plan_new_model(options);
  if (options.hours > 0)
    return Status::usage("--hours proposes a new model, and there is one already",
                         "leave out MODEL; train --hours times steps of one itself");
  ASSIGN_OR_RETURN(const auto model, open_model(options.model, /*weights_needed=*/false));
  InferenceRequest request = request_for(options, *model);
  ASSIGN_OR_RETURN(auto measured, measure(options, model, request));
  if (runs(options) && texts(options) == 1) request = with_drafting(*model, request);
  ASSIGN_OR_RETURN(const PlanReport report,
                   make_report(options, *model, request, std::move(measured)));
  if (!options.html_file.empty()) TRY(write_page(options, *model, request, report));
  if (options.explain) {
    ASSIGN_OR_RETURN(const auto lessons, teach_memory(*model, mapped(request)));
    print_lessons(lessons);
    return {};
  }
  if (options.json)
    print_json(plan_json(report));
  else
    print_plan(report);
  return verdict(options, *model, request, report);
}

}  // namespace enxuto
