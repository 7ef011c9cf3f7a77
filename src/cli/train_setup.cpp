#include "cli/train_setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/output_name.h"
#include "data/train_bpe.h"
#include "models/blank.h"
#include "train/training_run.h"

namespace enxuto {
namespace {

constexpr const char* kTokens = "tokens.bin";
constexpr uint32_t kNewContext = 256, kTunedContext = 512, kBatch = 32;

// --memory is of each rank; what the machine has is shared by those on it.
uint64_t budget_of(const TrainOptions& o, const Ranks& ranks) {
  const uint64_t bytes = memory_budget(o).bytes;
  return o.memory_bytes ? bytes : bytes / ranks.on_this_machine();
}

bool is_new(const TrainOptions& options) { return options.model.empty(); }
bool has_shape(const TrainOptions& o) {
  return o.n_layers || o.width || o.n_heads || o.n_kv_heads || o.ffn_width;
}

Status check_options(const TrainOptions& o) {
  if (o.steps > 0 && o.epochs > 0)
    return Status::usage("--steps and --epochs both say how long", "give one of them");
  if (is_new(o)) {
    if (o.learning.lora)
      return Status::usage("an adapter needs a model to stand beside", "name a MODEL");
    if (o.parameters == 0 && !has_shape(o))
      return Status::usage("neither a model to train further, nor the size of a new one",
                           "name a MODEL, or say --params 5M");
    if (o.parameters > 0 && has_shape(o))
      return Status::usage("--params chooses the shape that --layers, --width and the like say",
                           "leave one of them out");
  } else if (o.parameters > 0 || has_shape(o) || !o.tokenizer.empty() || !o.architecture.empty()) {
    return Status::usage("a model that exists has its size, its shape and its tokenizer",
                         "leave out MODEL for a new one, or --params, --layers, --tokenizer …");
  }
  if (o.patience > 0 && o.validation <= 0)
    return Status::usage("--patience waits for validations, and nothing is kept for them",
                         "say --validation 0.05, or leave out --patience");
  return {};
}

// "bytes", "bpe:N"
Result<uint32_t> tokens_of(const TrainOptions& o) {
  constexpr uint32_t kBytes = 257;
  std::string_view name = o.tokenizer;
  if (name == "bytes") return kBytes;
  if (name.empty())
    return o.parameters >= 50'000'000 ? 16384u : o.parameters >= 2'000'000 ? 4096u : kBytes;
  uint32_t n = 0;
  if (name.starts_with("bpe:")) {
    name.remove_prefix(4);
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), n);
    if (error == std::errc() && end == name.data() + name.size() && n >= kBytes) return n;
  }
  return Status::usage(
      fmt::format("'{}' is no tokenizer", o.tokenizer),
      "say bytes, or bpe:4096 for as many tokens made from the data (257 at least)");
}

Result<ModelShapeRequest> shape_of(const TrainOptions& o, uint32_t vocabulary) {
  const uint32_t context = o.context ? o.context : kNewContext;
  const std::string architecture = o.architecture.empty() ? "llama" : o.architecture;
  if (o.parameters > 0) return shape_of_size(o.parameters, vocabulary, context, architecture);
  ModelShapeRequest shape;
  shape.architecture = architecture;
  shape.n_layers = o.n_layers, shape.width = o.width, shape.n_heads = o.n_heads;
  shape.n_kv_heads = o.n_kv_heads ? o.n_kv_heads : o.n_heads;
  shape.ffn_width =
      o.ffn_width ? o.ffn_width : (usual_ffn_width(architecture, o.width) + 63) / 64 * 64;
  shape.context = context;
  return shape;
}

Result<std::shared_ptr<const Model>> new_model(const TrainOptions& o, const Ranks& ranks,
                                               const Progress& progress) {
  ASSIGN_OR_RETURN(const uint32_t wanted, tokens_of(o));
  ASSIGN_OR_RETURN(const Metadata tokenizer,
                   train_bpe(o.data, wanted, budget_of(o, ranks) / 2, progress));
  const auto vocabulary = static_cast<uint32_t>(tokenizer.find("tokenizer.ggml.tokens")->count);
  ASSIGN_OR_RETURN(const ModelShapeRequest shape, shape_of(o, vocabulary));
  return blank_model(shape, tokenizer);
}

Status find_model(const TrainOptions& o, const Ranks& ranks, TrainSetup& setup,
                  const Progress& progress) {
  const std::string newest = newest_checkpoint(setup.folder);
  if (!newest.empty() && o.resume) {
    ASSIGN_OR_RETURN(setup.checkpoint, Checkpoint::open(newest));
    if (setup.checkpoint->of_adapter() != o.learning.lora)
      return Status::bad_input("the checkpoint is of a training with the other choice of --lora",
                               "go on as it began, or begin anew with --force");
    setup.model = setup.checkpoint->model();
    if (!o.learning.lora) return {};
  }
  if (!newest.empty() && !o.force && !o.resume)
    return Status::usage(
        fmt::format("{} has checkpoints of an earlier training", setup.folder.path()),
        "--resume goes on from the last one, --force begins anew");
  if (!setup.checkpoint && ranks.first())
    for (const std::string& name : setup.folder.names())
      if (name.ends_with(".gguf")) TRY(setup.folder.remove(name));
  if (is_new(o)) {
    ASSIGN_OR_RETURN(setup.model, new_model(o, ranks, progress));
    return {};
  }
  ASSIGN_OR_RETURN(setup.model, open_model(o.model));
  return check_output(*setup.model, o.output, o.force || o.resume);
}

Status find_data(const TrainOptions& o, const Ranks& ranks, TrainSetup& setup,
                 const Progress& progress) {
  const std::string path = setup.folder.path(kTokens);
  ASSIGN_OR_RETURN(const uint64_t fingerprint, data_fingerprint(*setup.tokenizer, o.data));
  Result<TokenFile> file = TokenFile::open(path);
  if (!file.ok() || file->fingerprint() != fingerprint) {
    if (!ranks.first())
      return Status::bad_input(fmt::format("rank {} has other data than the first", ranks.rank()),
                               "give all ranks the same files, in a folder that they share");
    ASSIGN_OR_RETURN(setup.counts, write_tokens(*setup.tokenizer, o.data, path, progress));
    file = TokenFile::open(path);
  }
  TRY(file.status());
  if (setup.counts.tokens == 0) setup.counts = file->counts();
  if (setup.checkpoint && setup.checkpoint->state().data != fingerprint)
    return Status::bad_input("the data is not what the checkpoint learned from",
                             "give the same files, or begin anew with --force");
  const uint32_t context = setup.request.context;
  ASSIGN_OR_RETURN(setup.data, Sequences::create(*file, context, o.validation, o.seed, o.shuffle));
  return {};
}

Status check_context(const TrainOptions& o, const Model& model) {
  if (o.context <= model.hyper.trained_context) return {};
  return Status::usage(
      fmt::format("a context of {} is longer than the model's {}", format_count(o.context),
                  format_count(model.hyper.trained_context)),
      "choose a shorter --context");
}

// As many sequences as were asked for; or 32, or what the memory has room for.
Status find_batch(const TrainOptions& o, const Ranks& ranks, TrainSetup& setup) {
  const uint64_t n = setup.data->n_training(), budget = budget_of(o, ranks);
  if (o.batch_size > n)
    return Status::usage(fmt::format("a batch of {} is more than the {} sequences of the data",
                                     format_count(o.batch_size), format_count(n)),
                         fmt::format("choose --batch-size {} or less, or a shorter --context", n));
  setup.request.sequences =
      o.batch_size ? o.batch_size : static_cast<uint32_t>(std::min<uint64_t>(kBatch, n));
  for (;; setup.request.sequences /= 2) {
    const auto fitting = fit_training(*setup.model, setup.request, budget);
    if (fitting.ok()) setup.request = *fitting;
    if (fitting.ok() || o.batch_size || setup.request.sequences == 1) return fitting.status();
  }
}

Status fill(const TrainOptions& o, const Ranks& ranks, TrainSetup& setup,
            const Progress& progress) {
  TRY(find_model(o, ranks, setup, progress));
  TRY(check_context(o, *setup.model));
  ASSIGN_OR_RETURN(setup.tokenizer, Tokenizer::create(setup.model->metadata));
  setup.request = training_request(o, o.learning);
  TrainingRequest& request = setup.request;
  request.context = o.context ? o.context
                              : std::min(is_new(o) ? kNewContext : kTunedContext,
                                         setup.model->hyper.trained_context);
  request.ranks = ranks.size();
  request.tokenizer_bytes = setup.tokenizer->table_bytes();
  TRY(find_data(o, ranks, setup, progress));
  return find_batch(o, ranks, setup);
}

Result<TrainSetup> set_up_first(const TrainOptions& o, const Ranks& ranks,
                                const Progress& progress) {
  TRY(check_options(o));
  if (!o.force && !o.resume && file_exists(o.output))
    return Status::usage(fmt::format("{} exists", o.output),
                         "choose another name, or --force to replace it");
  ASSIGN_OR_RETURN(WorkFolder folder, WorkFolder::open(o.output + ".training"));
  TrainSetup setup{std::move(folder), {}, {}, {}, {}, {}, {}};
  const Status done = fill(o, ranks, setup, progress);
  if (done.ok()) return setup;
  if (newest_checkpoint(setup.folder).empty()) {
    TRY(setup.folder.remove(kTokens));
    setup.folder.remove_if_empty();
  }
  return done;
}

}  // namespace

Result<TrainSetup> set_up_training(const TrainOptions& o, const Ranks& ranks,
                                   const Progress& progress) {
  double sequences[] = {0};
  if (ranks.first()) {
    ASSIGN_OR_RETURN(TrainSetup setup, set_up_first(o, ranks, progress));
    sequences[0] = setup.request.sequences;
    TRY(ranks.sum(sequences));
    return setup;
  }
  TRY(ranks.sum(sequences));  // waits for the first, and learns what it chose
  TrainOptions chosen = o;
  chosen.batch_size = static_cast<uint32_t>(sequences[0]);
  TrainSetup setup{WorkFolder::shared(o.output + ".training"), {}, {}, {}, {}, {}, {}};
  TRY(fill(chosen, ranks, setup, progress));
  return setup;
}

}  // namespace enxuto
