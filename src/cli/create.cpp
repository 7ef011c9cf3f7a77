#include "cli/create.h"

#include <random>

#include "cli/budget.h"
#include "platform/file.h"

namespace enxuto {
namespace {

Status check_kind(const Model& model, std::string_view kind) {
  const std::string_view of_model = media_kind(model.metadata);
  if (of_model == kind) return {};
  if (of_model.empty())
    return Status::bad_input("the model makes text", "enxuto run MODEL continues a text");
  return Status::bad_input(fmt::format("the model is of another medium: {}", of_model),
                           fmt::format("enxuto create {} MODEL -o OUTPUT", of_model));
}

}  // namespace

uint64_t random_seed() {
  std::random_device entropy;
  return static_cast<uint64_t>(entropy()) << 32 | entropy();
}

Result<Creator> Creator::open(const CreateOptions& options, std::string_view kind, bool guided) {
  TRY(check_is_free(options.output, options.force));
  Creator creator;
  creator.sampling = options.sampling;
  creator.sampling.seed = options.seed ? *options.seed : random_seed();
  ASSIGN_OR_RETURN(creator.model, open_model(options.model));
  TRY(check_kind(*creator.model, kind));
  ASSIGN_OR_RETURN(creator.codec, codec_of(creator.model->metadata));
  InferenceRequest request = inference_request(options, creator.model->hyper.trained_context, 0);
  if (guided) {  // each session has its half
    request.memory_bytes /= 2;
    ASSIGN_OR_RETURN(creator.untold, Session::open(creator.model, request));
  }
  TRY(check_fits(*creator.model, request, request.memory_bytes));
  ASSIGN_OR_RETURN(creator.session, Session::open(creator.model, request));
  return creator;
}

Status check_is_text(const Model& model) {
  const std::string_view kind = media_kind(model.metadata);
  if (kind.empty()) return {};
  return Status::bad_input(fmt::format("the model's tokens are no text: its medium is {}", kind),
                           fmt::format("enxuto create {} MODEL -o OUTPUT", kind));
}

void add_create(CLI::App& app, Action& action) {
  CLI::App* create = app.add_subcommand("create", "Make what a model of a medium was trained for");
  create->require_subcommand(1);
  add_create_image(*create, action);
  add_create_text(*create, action);
  add_create_music(*create, action);
  add_create_table(*create, action);
}

}  // namespace enxuto
