// plan: the memory that a model takes, part by part, before anything is taken; and what fits.
#include "cli/commands.h"
#include "cli/plan_report.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {
namespace {

InferenceRequest request_for(const PlanOptions& options, const Model& model) {
  InferenceRequest request = inference_request(options, options.context, options.batch);
  request.sequences = options.sequences;
  if (const auto tokenizer = Tokenizer::create(model.metadata); tokenizer.ok())
    request.tokenizer_bytes = (*tokenizer)->table_bytes();
  return request;
}

}  // namespace

Status plan_command(const PlanOptions& options) {
  ASSIGN_OR_RETURN(const auto model, open_model(options.model, /*weights_needed=*/false));
  const InferenceRequest request = request_for(options, *model);
  PlanReport report;
  report.goal = options.sequences > 1 ? "serve" : "run";
  ASSIGN_OR_RETURN(report.layout, lay_out_session(*model, request));
  ASSIGN_OR_RETURN(report.map, plan_inference(*model, request));
  report.budget = memory_budget(options);
  report.suggestions = suggest(*model, request, report.budget.bytes);
  const ChoiceQuestion question{request, report.budget.bytes,
                                static_cast<double>(options.bandwidth)};
  ASSIGN_OR_RETURN(report.choices, weigh_choices(*model, question));
  if (options.json)
    print_json(plan_json(report));
  else
    print_plan(report);
  return check_budget(*model, request, options);
}

}  // namespace enxuto
