#include "plan/compression_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "plan/format_mix.h"
#include "plan/gradient_layout.h"
#include "plan/pieces.h"

namespace enxuto {
namespace {

// A covariance wants several times as many tokens as its input has columns.
constexpr uint32_t kFitTokens = 512, kFitChunks = 6;
constexpr uint32_t kTokensPerColumn = 16;
constexpr uint32_t kProbeTokens = 64;
constexpr uint32_t kBatch = 256;               // tokens that go through a layer at once
constexpr uint64_t kLargeModel = 500'000'000;  // parameters
// What more time buys. It is about that of llama.cpp's files, some minutes for 100 million weights,
// or as much as helps.
struct Pains {
  uint32_t most_fit_chunks, weigh_chunks, probe_chunks, large_probe_chunks;
  int sweeps, sweeps_to_compare;
  uint64_t covariance_columns;
};
constexpr Pains kPains[] = {{6, 0, 1, 1, 0, 0, kCovarianceColumns / 2},
                            {48, 0, 3, 2, 4, 1, kCovarianceColumns},
                            {96, 48, 3, 3, 8, 2, kCovarianceColumns}};
const Pains& pains(Effort effort) { return kPains[static_cast<size_t>(effort)]; }
// Coarse enough to stand out of the sampling noise, fine enough for KL to be still quadratic.
constexpr Type kProbeTypes[] = {Type::Q4_0, Type::Q8_0};
constexpr uint64_t kPieceBytes = 16 * kMiB;  // read, and written, at once
// Enough values for an error to be known to a percent or so.
constexpr uint64_t kSampleValues = 1 << 16, kSampleRows = 64;
// Of each column, while 64 rows are rounded: their values, and twice that of scratch.
constexpr uint64_t kRowFloats = 3 * 64;
constexpr uint64_t kCovarianceUnit = 256;
constexpr uint64_t kBlock = 4096;  // what direct reads and writes are made of
// Of each state of the search: how it was reached; and the states of one item while they are made.
constexpr uint64_t kTraceBytes = 8, kSearchBytes = 12 * kMiB;
// oneDNN, measured: the pages of its code and what it compiles, which is most for AVX-512 with
// BF16; the panels that a thread packs.
constexpr uint64_t kDenseLibraryBytes = 13 * kMiB, kDensePanelBytes = 5 * kMiB / 2;
constexpr uint64_t kOutputBytes = 1 << 20;  // that a file gathers before they are written
constexpr uint64_t kFloat = sizeof(float), kDouble = sizeof(double);

using Matrices = std::vector<const Tensor*>;

Matrices weights_of(const Model& model) {
  Matrices all;
  for (const LayerWeights& layer : model.layers)
    for (const Tensor* t : matrices_of(layer)) all.push_back(t);
  if (model.output) all.push_back(model.output);
  if (model.token_embedding && !model.tied()) all.push_back(model.token_embedding);
  return all;
}

// Adds up what is alive at the same time.
struct Sum {
  OptionalSize bytes = 0;
  void add(OptionalSize n, OptionalSize each) {
    bytes = checked_add(bytes, checked_align(checked_mul(n, each), kLine));
  }
};

OptionalSize larger(OptionalSize a, OptionalSize b) {
  return !a || !b ? std::nullopt : OptionalSize(std::max(*a, *b));
}

// The sizes of what the stages hold, of one model.
class Sizes {
 public:
  Sizes(const Model& model, const CompressionPlan& plan, int n_threads)
      : model_(model),
        shape_(plan.shape),
        covariance_columns_(plan.covariance_columns),
        weigh_chunks_(plan.weigh_chunks),
        n_threads_(n_threads),
        weights_(weights_of(model)) {
    for (const Tensor* weight : weights_) n_states_ += plan.survey.has(*weight);
    for (const Tensor& tensor : model.tensors)
      piece_ = larger(piece_, checked_mul(rows_at_once(model, tensor), tensor.row_bytes()));
  }

  OptionalSize read_buffer() const { return checked_add(checked_align(piece_, kBlock), kBlock); }
  uint64_t n_states() const { return n_states_; }

  // A number for every input's columns, kept to the end.
  OptionalSize of_columns() const {
    Sum sum;
    for_inputs([&](const Tensor& input) { sum.add(input.columns(), kFloat); });
    return sum.bytes;
  }

  OptionalSize covariance_file() const {
    Sum sum;
    for_inputs([&](const Tensor& input) { sum.add(1, input_covariance(input)); });
    return sum.bytes;
  }
  OptionalSize output_covariance_file() const {
    Sum sum;
    for_matrices([&](const Tensor& t) { sum.add(1, covariance_bytes(t.rows())); });
    return sum.bytes;
  }
  OptionalSize checkpoint_file() const {
    return checked_mul(checked_mul(model_.layers.size() + 1, weigh_chunks_),
                       checkpoint_bytes(model_.hyper, shape_.fit_tokens));
  }
  // Of the outputs of a layer.
  OptionalSize output_covariances() const {
    return largest_layer(matrices_of, [](const Tensor& t) { return covariance_bytes(t.rows()); });
  }
  // Of the rows whose outputs share a covariance.
  OptionalSize row_errors() const {
    OptionalSize most = 0;
    for_matrices([&](const Tensor& t) {
      most =
          larger(most, checked_mul(checked_mul(covariance_block(t.rows()), t.columns()), kFloat));
    });
    return most;
  }
  // Of the text, later of the probes.
  OptionalSize state_file() const {
    return larger(checked_mul(shape_.fit_chunks, state_bytes(model_.hyper, shape_.fit_tokens)),
                  checked_mul(n_states(), state_bytes(model_.hyper, probe_tokens())));
  }

  // Covariances stay; of the hidden states there are two copies while one replaces the other, and
  // later the tensors that are written.
  OptionalSize state_folder(OptionalSize covariances, uint64_t output_bytes) const {
    return checked_add(covariances,
                       larger(checked_mul(2, state_file()), OptionalSize(output_bytes)));
  }

  OptionalSize calibrating(bool on_disk) const {
    return checked_add(
        text(on_disk), layer_sum([&](const Tensor& input) {
          return checked_add(
              input_covariance(input),
              checked_mul(input.columns(), std::min(kBatch, shape_.fit_tokens) * kFloat));
        }));
  }

  OptionalSize weighing(bool on_disk) const {
    const auto layout = lay_out_gradients(model_, shape_.fit_tokens, n_threads_);
    if (!layout.ok()) return std::nullopt;
    Sum sum;
    sum.add(on_disk ? 1 : weigh_chunks_, state_bytes(model_.hyper, shape_.fit_tokens));
    sum.add(1, checkpoint_bytes(model_.hyper, shape_.fit_tokens));
    sum.add(1, layout->bytes);
    sum.add(1, output_covariances());
    return sum.bytes;
  }

  OptionalSize probing(bool on_disk) const {
    Sum states;
    states.add(on_disk ? 1 : n_states(), state_bytes(model_.hyper, probe_tokens()));
    return checked_add(states.bytes, checked_add(coarse_copy(), head()));
  }

  OptionalSize measuring() const { return checked_add(rounding(), samples()); }
  OptionalSize writing() const {
    Sum sum;
    sum.add(1, rounding());
    sum.add(1, piece_);
    if (weigh_chunks_ == 0) return sum.bytes;
    OptionalSize outputs = 0;
    for_matrices([&](const Tensor& t) { outputs = larger(outputs, covariance_bytes(t.rows())); });
    sum.add(1, outputs);
    sum.add(1, row_errors());
    return sum.bytes;
  }
  OptionalSize allocating() const {
    return checked_add(checked_mul(weights_.size() * kSearchStates, kTraceBytes), kSearchBytes);
  }

 private:
  OptionalSize text(bool on_disk) const {
    return checked_mul(on_disk ? 1 : shape_.fit_chunks,
                       state_bytes(model_.hyper, shape_.fit_tokens));
  }

  template <class Body>
  void for_matrices(const Body& body) const {
    for (const LayerWeights& w : model_.layers)
      for (const Tensor* t : matrices_of(w)) body(*t);
  }

  template <class Body>
  void for_inputs(const Body& body) const {
    for (const LayerWeights& w : model_.layers)
      for (const Tensor* t : inputs_of(w)) body(*t);
    if (model_.output) body(*model_.output);
  }

  template <class Bytes>
  OptionalSize largest_layer(Matrices (*which)(const LayerWeights&), const Bytes& bytes_of) const {
    OptionalSize most = 0;
    for (const LayerWeights& w : model_.layers) {
      OptionalSize layer = 0;
      for (const Tensor* t : which(w)) layer = checked_add(layer, bytes_of(*t));
      most = larger(most, layer);
    }
    return most;
  }

  // The most of a layer's inputs, or the head's.
  template <class Bytes>
  OptionalSize layer_sum(const Bytes& bytes_of) const {
    const OptionalSize head = model_.output ? bytes_of(*model_.output) : OptionalSize(0);
    return larger(head, largest_layer(inputs_of, bytes_of));
  }

  // The covariances of a layer's inputs, and rows of a weight while they are rounded.
  OptionalSize rounding() const {
    OptionalSize widest = 0;
    for (const Tensor* weight : weights_) widest = larger(widest, weight->columns());
    return checked_add(
        layer_sum([&](const Tensor& input) { return input_covariance(input); }),
        checked_mul(widest, static_cast<uint64_t>(n_threads_) * kRowFloats * kFloat));
  }

  // Of a layer's weights, with an embedding beside the first of them, or of the head.
  OptionalSize samples() const {
    const auto of = [](const Tensor& t) {
      return checked_mul(checked_mul(sample_rows(t), t.columns()), kFloat);
    };
    OptionalSize most = largest_layer(matrices_of, of);
    for (const Tensor* t : {model_.output, model_.token_embedding})
      if (t) most = checked_add(most, of(*t));
    return most;
  }

  OptionalSize input_covariance(const Tensor& input) const {
    return covariance_bytes(input.columns(), covariance_columns_);
  }

  uint64_t probe_tokens() const { return uint64_t{shape_.probe_tokens} * shape_.probe_chunks; }

  OptionalSize coarse_copy() const {
    OptionalSize most = 0;
    for_matrices([&](const Tensor& t) {
      if (const Codec* codec = probe_codec(t))
        most = larger(most, checked_mul(codec->row_bytes(t.columns()), t.rows()));
    });
    return checked_align(most, kLine);
  }

  // A slice of the head: its coarse copy, logits of the undisturbed model and of a probe, and the
  // sums over slices.
  OptionalSize head() const {
    if (!model_.output) return 0;
    const uint64_t scored = uint64_t{(shape_.probe_tokens + 1) / 2} * shape_.probe_chunks;
    const uint64_t slice = rows_at_once(model_, *model_.output);
    Sum sum;
    if (const Codec* codec = probe_codec(*model_.output))
      sum.add(slice, codec->row_bytes(model_.output->columns()));
    for (int i = 0; i < 3; ++i) sum.add(scored * slice, kFloat);
    sum.add(n_states() * scored, 3 * kDouble);
    return sum.bytes;
  }

  const Model& model_;
  const CalibrationShape& shape_;
  uint64_t covariance_columns_;
  uint32_t weigh_chunks_;
  int n_threads_;
  Matrices weights_;
  uint64_t n_states_ = 1;  // the undisturbed one, and one of each weight that is surveyed
  OptionalSize piece_ = 0;
};

CalibrationShape calibration_shape(const Model& model, Effort effort) {
  const uint32_t most = model.hyper.trained_context;
  const Result<uint64_t> parameters = count_parameters(model);
  const bool large = parameters.ok() && *parameters > kLargeModel;
  const uint64_t widest = std::max<uint64_t>(model.hyper.width, model.hyper.ffn_width);
  const auto chunks = static_cast<uint32_t>(std::clamp<uint64_t>(
      widest * kTokensPerColumn / kFitTokens, kFitChunks, pains(effort).most_fit_chunks));
  return {std::min(kFitTokens, most), chunks, std::min(kProbeTokens, most),
          large ? pains(effort).large_probe_chunks : pains(effort).probe_chunks};
}

struct Mode {
  bool streams, on_disk;
};

struct Phase {
  const char* name;
  OptionalSize bytes;
  std::string why;
};

Result<CompressionPlan> plan_mode(const Model& model, const CompressionRequest& request,
                                  Mode mode) {
  CompressionPlan plan;
  plan.shape = calibration_shape(model, request.effort);
  plan.survey = Survey(model, request.effort != Effort::kFast);
  plan.covariance_columns = pains(request.effort).covariance_columns;
  plan.sweeps = pains(request.effort).sweeps;
  plan.sweeps_to_compare = pains(request.effort).sweeps_to_compare;
  plan.streams = mode.streams, plan.states_on_disk = mode.on_disk;
  plan.weigh_chunks = std::min(pains(request.effort).weigh_chunks, plan.shape.fit_chunks);
  const Sizes sizes(model, plan, request.n_threads);
  const char* where = mode.on_disk ? ", in a file" : "";
  const Phase phases[] = {
      {"calibrating", sizes.calibrating(mode.on_disk),
       fmt::format("{} x {} tokens{}, covariances of a layer", plan.shape.fit_chunks,
                   plan.shape.fit_tokens, where)},
      {"weighing outputs", plan.weigh_chunks ? sizes.weighing(mode.on_disk) : OptionalSize(0),
       fmt::format("{} x {} tokens there and back{}, covariances of a layer's outputs",
                   plan.weigh_chunks, plan.shape.fit_tokens, where)},
      {"probing", sizes.probing(mode.on_disk),
       fmt::format("{} disturbed copies of {} x {} held-out tokens{}", sizes.n_states() - 1,
                   plan.shape.probe_chunks, plan.shape.probe_tokens, where)},
      {"measuring", sizes.measuring(), "covariances of a layer, rows in every format"},
      {"allocating", sizes.allocating(), "plans of formats that may still win"},
      {"writing", sizes.writing(), "covariances of a layer, rows on their way to the file"}};
  bool absurd = false;
  const auto known = [&](OptionalSize bytes) {
    absurd |= !bytes || *bytes > kAbsurdBytes;
    return bytes.value_or(0);
  };
  const Phase* largest = &phases[0];
  for (const Phase& phase : phases)
    if (known(phase.bytes) > largest->bytes.value_or(0)) largest = &phase;
  std::vector<MemoryPart>& stages = plan.stages.parts;
  stages.push_back({owner::kImportance, known(sizes.of_columns()),
                    "what each column of each input carries", "calibration to the end",
                    PartKind::kArena});
  stages.push_back({owner::kColumnScales, known(sizes.of_columns()),
                    "at which scale each column is carried", "checking to the end",
                    PartKind::kArena});
  if (mode.streams)
    stages.push_back({owner::kReadBuffer, known(sizes.read_buffer()),
                      "rows of a tensor, read to be encoded", "always", PartKind::kArena});
  uint64_t kept = known(sizes.covariance_file()), scratch = 0;
  if (mode.on_disk) scratch = known(sizes.state_file());
  if (plan.weigh_chunks > 0) {
    plan.row_error_bytes = known(sizes.row_errors());
    scratch += known(sizes.checkpoint_file());
    kept += known(sizes.output_covariance_file());
  }
  plan.state_bytes = known(
      sizes.state_folder(kept, request.output_bytes ? request.output_bytes : model.file_bytes));
  plan.disk_bytes = scratch + (request.keeps_state ? plan.state_bytes : kept);
  std::string why = fmt::format("most of all {}: {}; {} more wait on the disk", largest->name,
                                largest->why, format_bytes(plan.disk_bytes));
  if (!request.keeps_state)
    why += fmt::format(" ({} with --state)", format_bytes(scratch + plan.state_bytes));
  stages.push_back({owner::kWorking, known(largest->bytes), why, largest->name, PartKind::kArena});
  if (absurd) return Status::bad_input("the model's tensors claim more bytes than can be counted");

  plan.inference.context = plan.shape.fit_tokens;
  plan.inference.whole_embedding = true;
  plan.inference.batch = std::min(kBatch, plan.shape.fit_tokens);
  plan.inference.n_threads = request.n_threads;
  plan.inference.tokenizer_bytes = request.tokenizer_bytes;
  std::vector<MemoryPart> others = {dense_library_part(request.n_threads)};
  if (request.keeps_state)
    others.push_back({owner::kStateFolder, kRecordBytesAtOnce + kOutputBytes,
                      "a record while it is read, and one while it is written", "always",
                      PartKind::kProcess});
  uint64_t own = plan.stages.total_bytes();
  for (const MemoryPart& part : others) own += part.bytes;
  if (mode.streams)
    plan.inference.memory_bytes = request.memory_bytes > own ? request.memory_bytes - own : 1;
  ASSIGN_OR_RETURN(plan.map, plan_inference(model, plan.inference));
  plan.map.parts.insert(plan.map.parts.end(), stages.begin(), stages.end());
  plan.map.parts.insert(plan.map.parts.end(), others.begin(), others.end());
  return plan;
}

}  // namespace

const Codec* probe_codec(const Tensor& tensor) {
  for (const Type type : kProbeTypes) {
    const Codec* codec = find_codec(type);
    if (tensor.columns() % codec->block_values == 0) return codec;
  }
  return nullptr;
}

uint64_t rows_at_once(const Model& model, const Tensor& tensor) {
  uint64_t rows = std::max<uint64_t>(1, kPieceBytes / std::max<uint64_t>(1, tensor.row_bytes()));
  // Rows that change places do so within a head.
  if (model.permuted_qk)
    rows = std::max<uint64_t>(1, rows / model.hyper.key_dim) * model.hyper.key_dim;
  return std::clamp<uint64_t>(rows, 1, std::max<uint64_t>(1, tensor.rows()));
}

uint64_t sample_rows(const Tensor& tensor) {
  return std::clamp<uint64_t>(kSampleValues / std::max<uint64_t>(1, tensor.columns()),
                              std::min<uint64_t>(tensor.rows(), kSampleRows), tensor.rows());
}

OptionalSize state_bytes(const HyperParameters& hyper, uint64_t tokens) {
  return checked_align(checked_mul(checked_mul(tokens, hyper.width), kFloat), kBlock);
}

uint64_t covariance_block(uint64_t columns, uint64_t most) {
  const uint64_t n_blocks = (columns + most - 1) / most;
  return n_blocks <= 1 ? columns : align_up((columns + n_blocks - 1) / n_blocks, kCovarianceUnit);
}

OptionalSize covariance_bytes(uint64_t columns, uint64_t most) {
  const uint64_t block = std::max<uint64_t>(1, covariance_block(columns, most));
  const uint64_t whole = columns / block, rest = columns % block;
  const OptionalSize squares =
      checked_add(checked_mul(whole, block * block), OptionalSize(rest * rest));
  return checked_align(checked_mul(checked_add(squares, columns), kFloat), kBlock);
}

Result<CompressionPlan> plan_compression(const Model& model, const CompressionRequest& request) {
  if (pains(request.effort).weigh_chunks > 0 && model.hyper.n_experts > 0)
    return Status::usage(
        "the best effort weighs outputs by gradients, which it does not do of a mixture of experts",
        "say --effort normal");
  ASSIGN_OR_RETURN(CompressionPlan plan, plan_mode(model, request, {false, false}));
  if (request.memory_bytes == 0) return plan;
  for (const Mode mode : {Mode{true, false}, Mode{true, true}}) {
    if (plan.map.total_bytes() <= request.memory_bytes) break;
    ASSIGN_OR_RETURN(CompressionPlan smaller, plan_mode(model, request, mode));
    if (smaller.map.total_bytes() < plan.map.total_bytes()) plan = std::move(smaller);
  }
  return plan;
}

MemoryPart dense_library_part(int n_threads) {
  return {owner::kDenseLibrary,
          kDenseLibraryBytes + static_cast<uint64_t>(n_threads) * kDensePanelBytes,
          "the library that multiplies matrices: code, and panels of each thread (estimate)",
          "always", PartKind::kProcess};
}

Status check_fits(const CompressionPlan& plan, uint64_t budget_bytes, std::string_view command) {
  const uint64_t needed = plan.map.total_bytes();
  if (budget_bytes == 0 || needed <= budget_bytes) return {};
  return Status::does_not_fit(
      fmt::format("{} needs at least {} for this model, {} more than the {} allowed", command,
                  format_bytes(needed), format_bytes(needed - budget_bytes),
                  format_bytes(budget_bytes)),
      fmt::format("allow {} bytes: --memory {}", format_count(needed), needed));
}

}  // namespace enxuto
