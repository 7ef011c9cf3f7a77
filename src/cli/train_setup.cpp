#include "cli/train_setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/output_name.h"
#include "data/train_bpe.h"
#include "models/blank.h"
#include "platform/heap.h"
#include "train/teacher.h"
#include "train/training_run.h"

namespace enxuto {
namespace {

constexpr const char* kTokens = "tokens.bin";
constexpr uint32_t kNewContext = 256, kTunedContext = 512, kBatch = 32;

bool is_new(const TrainOptions& options) { return options.model.empty(); }
bool has_shape(const TrainOptions& o) {
  return o.n_layers || o.width || o.n_heads || o.n_kv_heads || o.ffn_width;
}

// Architecture and experts.
Result<ModelShapeRequest> kind_of(const TrainOptions& o) {
  ModelShapeRequest kind;
  if (!o.architecture.empty()) kind.architecture = o.architecture;
  kind.n_experts = o.n_experts, kind.n_experts_used = o.n_experts_used;
  return with_experts(kind);
}

Status check_options(const TrainOptions& o) {
  if ((o.steps > 0) + (o.epochs > 0) + (o.hours > 0) > 1)
    return Status::usage("--steps, --epochs and --hours all say how long", "give one of them");
  if (is_new(o)) {
    if (o.learning.lora)
      return Status::usage("an adapter needs a model to stand beside", "name a MODEL");
    if (!o.teacher.empty())
      return Status::usage("a new model makes tokens of its own, and the teacher has others",
                           "name a MODEL with the teacher's tokens");
    if (o.parameters == 0 && !has_shape(o) && (o.hours == 0 || !o.media.empty()))
      return Status::usage("neither a model to train further, nor the size of a new one",
                           "name a MODEL, or say --params 5M, or --hours 8");
    if (o.parameters > 0 && has_shape(o))
      return Status::usage("--params chooses the shape that --layers, --width and the like say",
                           "leave one of them out");
    ASSIGN_OR_RETURN(const ModelShapeRequest kind, kind_of(o));
    if (kind.n_experts && o.parameters == 0 && !has_shape(o))
      return Status::usage("the rules that choose a size for --hours know no experts",
                           "say how large it shall be: --params 5M");
  } else if (o.parameters > 0 || has_shape(o) || o.n_experts || o.n_experts_used ||
             !o.architecture.empty() || !o.tokenizer.empty() || !o.media.empty()) {
    return Status::usage(
        "a model that exists has its size, its shape, its tokenizer and its medium",
        "leave out MODEL for a new one, or --params, --layers, --experts, --tokenizer, --media …");
  }
  if (!o.media.empty() && !o.tokenizer.empty())
    return Status::usage("a medium has its own tokens", "leave out --tokenizer");
  if (o.patience > 0 && o.validation <= 0)
    return Status::usage("--patience waits for validations, and nothing is kept for them",
                         "say --validation 0.05, or leave out --patience");
  return {};
}

// "bytes", "bpe:N"
Result<uint32_t> tokens_of(const TrainOptions& o) {
  std::string_view name = o.tokenizer;
  if (name == "bytes") return kByteVocabulary;
  if (name.empty()) return suitable_vocabulary(o.parameters);
  uint32_t n = 0;
  if (name.starts_with("bpe:")) {
    name.remove_prefix(4);
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), n);
    if (error == std::errc() && end == name.data() + name.size() && n >= kByteVocabulary) return n;
  }
  return Status::usage(
      fmt::format("'{}' is no tokenizer", o.tokenizer),
      "say bytes, or bpe:4096 for as many tokens made from the data (257 at least)");
}

Result<ModelShapeRequest> shape_of(const TrainOptions& o, uint32_t vocabulary, uint32_t context) {
  ASSIGN_OR_RETURN(ModelShapeRequest shape, kind_of(o));
  shape.context = context;
  if (o.parameters > 0) return shape_of_size(o.parameters, vocabulary, shape);
  shape.n_layers = o.n_layers, shape.width = o.width, shape.n_heads = o.n_heads;
  shape.n_kv_heads = o.n_kv_heads ? o.n_kv_heads : o.n_heads;
  shape.ffn_width = o.ffn_width ? o.ffn_width : (usual_ffn_width(shape) + 63) / 64 * 64;
  return shape;
}

// The tokens of a new model: a tokenizer, or a medium's codec.
Result<Metadata> new_tokens(const TrainOptions& o, const Ranks& ranks, const Progress& progress) {
  const uint64_t memory = training_budget(o, ranks) / 2;
  if (!o.media.empty()) {
    ASSIGN_OR_RETURN(const auto codec, learn_codec(o.media, {o.data, memory, o.seed}, progress));
    return codec->metadata();
  }
  ASSIGN_OR_RETURN(const uint32_t wanted, tokens_of(o));
  return train_bpe(o.data, wanted, memory, progress);
}

uint32_t new_context(const TrainOptions& o, const Metadata& tokens) {
  if (o.context) return o.context;
  const auto of_medium = tokens.unsigned_at(kMediaContext);
  return of_medium ? static_cast<uint32_t>(*of_medium) : kNewContext;
}

// Of --hours, where that chooses the model.
Status propose(const ModelShapeRequest& kind, const Ranks& ranks, const Progress& progress,
               TrainSetup& setup) {
  TrainOptions& o = setup.options;
  NewModelWish wish{o.hours,
                    kind,
                    o.data,
                    o.validation,
                    o.parameters,
                    training_budget(o, ranks),
                    0,
                    training_request(o, o.learning)};
  if (!o.tokenizer.empty()) {
    ASSIGN_OR_RETURN(wish.vocabulary, tokens_of(o));
  }
  wish.request.context = o.context, wish.request.sequences = o.batch_size;
  wish.request.ranks = ranks.size();
  ASSIGN_OR_RETURN(setup.proposal, propose_here(wish, progress));
  const ModelShapeRequest& shape = setup.proposal->shape;
  o.parameters = 0;
  o.n_layers = shape.n_layers, o.width = shape.width, o.n_heads = shape.n_heads;
  o.n_kv_heads = shape.n_kv_heads, o.ffn_width = shape.ffn_width, o.context = shape.context;
  o.tokenizer = fmt::format("bpe:{}", setup.proposal->vocabulary);
  return {};
}

Result<std::shared_ptr<const Model>> new_model(const TrainOptions& o, const Ranks& ranks,
                                               const Progress& progress) {
  ASSIGN_OR_RETURN(const Metadata tokenizer, new_tokens(o, ranks, progress));
  const auto vocabulary = static_cast<uint32_t>(tokenizer.find("tokenizer.ggml.tokens")->count);
  ASSIGN_OR_RETURN(const ModelShapeRequest shape,
                   shape_of(o, vocabulary, new_context(o, tokenizer)));
  return blank_model(shape, tokenizer);
}

Status find_model(const Ranks& ranks, TrainSetup& setup, const Progress& progress) {
  const TrainOptions& o = setup.options;
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
    ASSIGN_OR_RETURN(const ModelShapeRequest kind, kind_of(o));
    if (o.hours > 0 && !has_shape(o) && o.media.empty() && !kind.n_experts)
      TRY(propose(kind, ranks, progress, setup));
    ASSIGN_OR_RETURN(setup.model, new_model(o, ranks, progress));
    return {};
  }
  ASSIGN_OR_RETURN(setup.model, open_model(o.model));
  return check_output(*setup.model, o.output, o.force || o.resume);
}

Status find_data(const Ranks& ranks, TrainSetup& setup, const Progress& progress) {
  const TrainOptions& o = setup.options;
  const std::string path = setup.folder.path(kTokens);
  ASSIGN_OR_RETURN(const uint64_t fingerprint, data_fingerprint(*setup.tokenizer, o.data));
  Result<TokenFile> file = TokenFile::open(path);
  if (!file.ok() || file->fingerprint() != fingerprint) {
    if (!ranks.first())
      return Status::bad_input(fmt::format("rank {} has other data than the first", ranks.rank()),
                               "give all ranks the same files, in a folder that they share");
    ASSIGN_OR_RETURN(setup.counts,
                     setup.codec ? setup.codec->write_tokens(o.data, fingerprint, path, progress)
                                 : write_tokens(*setup.tokenizer, o.data, path, progress));
    file = TokenFile::open(path);
  }
  TRY(file.status());
  if (setup.counts.tokens == 0) setup.counts = file->counts();
  if (setup.checkpoint && setup.checkpoint->state().data != fingerprint)
    return Status::bad_input("the data is not what the checkpoint learned from",
                             "give the same files, or begin anew with --force");
  const uint32_t context = setup.request.context;
  ASSIGN_OR_RETURN(setup.data, Sequences::create(*file, context, o.validation, o.seed, o.shuffle));
  give_back_heap();  // what tokenizers and codecs were made of
  return {};
}

Status check_context(const TrainOptions& o, const Model& model) {
  if (o.context <= model.hyper.trained_context) return {};
  return Status::usage(
      fmt::format("a context of {} is longer than the model's {}", format_count(o.context),
                  format_count(model.hyper.trained_context)),
      "choose a shorter --context");
}

// As many sequences as were asked for, or as the checkpoint had; or 32, or what was proposed, or
// what the memory has room for.
Status find_batch(const Ranks& ranks, TrainSetup& setup) {
  TrainOptions& o = setup.options;
  if (setup.checkpoint && !o.batch_size)
    o.batch_size = static_cast<uint32_t>(setup.checkpoint->state().batch);
  const uint64_t n = setup.data->n_training(), budget = training_budget(o, ranks);
  if (o.batch_size > n)
    return Status::usage(fmt::format("a batch of {} is more than the {} sequences of the data",
                                     format_count(o.batch_size), format_count(n)),
                         fmt::format("choose --batch-size {} or less, or a shorter --context", n));
  const uint64_t suits = setup.proposal ? setup.proposal->request.sequences : kBatch;
  setup.request.sequences = o.batch_size ? o.batch_size : static_cast<uint32_t>(std::min(suits, n));
  for (;; setup.request.sequences /= 2) {
    const auto fitting = fit_training(*setup.model, setup.request, budget);
    if (fitting.ok()) setup.request = *fitting;
    if (fitting.ok() || o.batch_size || setup.request.sequences == 1) return fitting.status();
  }
}

Status open_teacher(const TrainOptions& o, TrainSetup& setup) {
  if (o.teacher.empty()) return {};
  ASSIGN_OR_RETURN(setup.teacher, open_model(o.teacher));
  setup.request.teacher_top = teacher_top(*setup.teacher);
  return check_teacher(*setup.model, *setup.teacher, setup.request.context);
}

Status fill(const Ranks& ranks, TrainSetup& setup, const Progress& progress) {
  const TrainOptions& o = setup.options;
  TRY(find_model(ranks, setup, progress));
  TRY(check_context(o, *setup.model));
  ASSIGN_OR_RETURN(setup.tokenizer, Tokenizer::create(setup.model->metadata));
  const Metadata& metadata = setup.model->metadata;
  if (!media_kind(metadata).empty()) {
    ASSIGN_OR_RETURN(setup.codec, codec_of(metadata));
  }
  setup.request = training_request(o, o.learning);
  TrainingRequest& request = setup.request;
  request.context = setup.model->hyper.trained_context;  // a new one's is --context
  if (!is_new(o))
    request.context =
        o.context ? o.context
                  : std::min(setup.codec ? setup.codec->context() : kTunedContext, request.context);
  request.ranks = ranks.size();
  request.shares_parameters = setup.shares_parameters;
  request.tokenizer_bytes = setup.tokenizer->table_bytes();
  TRY(open_teacher(o, setup));
  TRY(find_data(ranks, setup, progress));
  return find_batch(ranks, setup);
}

TrainSetup empty_setup(const TrainOptions& o, WorkFolder folder) {
  return {o, std::move(folder), {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
}

Result<TrainSetup> set_up_first(const TrainOptions& o, const Ranks& ranks,
                                const Progress& progress) {
  TRY(check_options(o));
  TRY(check_is_free(o.output, o.force || o.resume));
  ASSIGN_OR_RETURN(WorkFolder folder, WorkFolder::open(o.output + ".training"));
  TrainSetup setup = empty_setup(o, std::move(folder));
  const Status done = fill(ranks, setup, progress);
  if (done.ok()) return setup;
  if (newest_checkpoint(setup.folder).empty()) {
    TRY(setup.folder.remove(kTokens));
    setup.folder.remove_if_empty();
  }
  return done;
}

// What the first rank chose, for the others.
Status tell_choice(const Ranks& ranks, TrainSetup& setup) {
  TrainOptions& o = setup.options;
  uint32_t shares = setup.request.shares_parameters;
  uint32_t* const chosen[] = {&o.batch_size, &o.n_layers,  &o.width,   &o.n_heads,
                              &o.n_kv_heads, &o.ffn_width, &o.context, &shares};
  std::vector<double> values(std::size(chosen) + 1);
  if (ranks.first()) {
    for (size_t i = 0; i < std::size(chosen); ++i) values[i] = *chosen[i];
    if (has_shape(o)) {
      ASSIGN_OR_RETURN(values.back(), tokens_of(o));
    }
  }
  TRY(ranks.sum(values));
  if (ranks.first()) return {};
  for (size_t i = 0; i < std::size(chosen); ++i) *chosen[i] = static_cast<uint32_t>(values[i]);
  setup.shares_parameters = shares != 0;
  if (!has_shape(o)) return {};
  o.parameters = 0, o.tokenizer = fmt::format("bpe:{}", values.back());
  return {};
}

}  // namespace

// --memory is of each rank; what the machine has is shared by those on it.
uint64_t training_budget(const TrainOptions& o, const Ranks& ranks) {
  const uint64_t bytes = memory_budget(o).bytes;
  return o.memory_bytes ? bytes : bytes / ranks.on_this_machine();
}

Result<TrainSetup> set_up_training(const TrainOptions& o, const Ranks& ranks,
                                   const Progress& progress) {
  if (ranks.first()) {
    ASSIGN_OR_RETURN(TrainSetup setup, set_up_first(o, ranks, progress));
    setup.options.batch_size = setup.request.sequences;
    TRY(tell_choice(ranks, setup));
    return setup;
  }
  TrainSetup setup = empty_setup(o, WorkFolder::shared(o.output + ".training"));
  TRY(tell_choice(ranks, setup));  // waits for the first
  TRY(fill(ranks, setup, progress));
  if (setup.request.shares_parameters == setup.shares_parameters) return setup;
  return Status::does_not_fit("there is less memory here than the first rank has",
                              "give all ranks the same --memory");
}

}  // namespace enxuto
