// The commands: what each is told, and the function that does it. arguments.cpp fills the structs
// from the command line; a command reports on standard output and answers with a Status.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "infer/sampler.h"
#include "plan/cache_formats.h"
#include "plan/compression_plan.h"
#include "plan/plan.h"
#include "plan/training.h"
#include "train/learning_rate.h"

namespace enxuto {

// What every command understands.
struct CommonOptions {
  std::string model;
  int n_threads = 0;          // 0: the cores this process may use
  uint64_t memory_bytes = 0;  // 0: what the machine leaves free
  bool json = false;
  std::vector<KvFormat> kv;  // as InferenceRequest's
  CacheParts automatic;      // what of it the program chooses itself
  std::string report_file;   // run, eval, bench, compress and train: empty: none
  std::string lora_file;     // run, eval, bench and merge: an adapter; empty: none

  int threads() const;
};

struct InspectOptions : CommonOptions {
  bool tensors = false;
};

// How weights learn.
struct LearningOptions {
  Optimizer optimizer = Optimizer::kAdamW;
  Type weights = Type::F32;  // of matrices: F32 or BF16
  bool rounds_products = false;
  bool keeps_activations = false;
  bool lora = false;  // all weights stay, and an adapter learns:
  uint32_t lora_rank = 16;
  float ema = 0;  // of the weights an average is kept that forgets so slowly; 0: none
};

struct PlanOptions : CommonOptions {
  uint32_t context = 0;  // 0: what the model was trained on, 4096 tokens at most
  uint32_t batch = 0;    // 0: the default of the plan
  std::string goal = "run";
  Effort effort = Effort::kNormal;  // of compress
  uint32_t sequences = 0;           // 0: one, or of a new model as suits
  uint32_t ranks = 1;               // of train
  uint64_t bandwidth = 0;           // bytes per second that decoding reads; 0: unknown
  LearningOptions learning;         // of train, like what follows
  double hours = 0;                 // of a new model; 0: it is not about one
  uint64_t parameters = 0;          // of it; 0: as suits
  std::vector<std::string> data;
  std::string teacher;  // of train; empty: none
  bool explain = false;
  bool measure = false;
  std::string html_file;
};

struct CompressOptions : CommonOptions {
  std::string output;             // empty: none, with curve only
  uint64_t size_bytes = 0;        // one of these two, or memory_bytes
  double bits_per_weight = 0;     // of the whole file
  std::string calibration_file;   // empty: the built-in text
  std::string imatrix_file;       // empty: the text's own importance
  std::string save_imatrix_file;  // empty: not written
  std::vector<std::string> types;
  std::vector<std::string> keep;  // REGEX=TYPE
  Effort effort = Effort::kNormal;
  std::string state_folder;  // empty: none
  std::string prune = "none";
  bool for_speed = false;
  bool curve = false;
  bool force = false;
};

struct PruneOptions : CommonOptions {
  std::string output;
  double remove = 0;  // one of these three
  uint64_t size_bytes = 0;
  double speedup = 0;
  std::string what = "auto";
  std::string recover = "local";
  std::string method, pattern;  // of single weights; empty: sparsegpt, none
  bool sparse = false;          // zeros are not stored
  bool owl = false;             // each layer has its own share of zeros
  bool uniform = false;
  std::string calibration_file;  // empty: the built-in text
  Effort effort = Effort::kNormal;
  bool force = false;
};

struct TrainOptions : CommonOptions {  // model empty: a new one
  std::vector<std::string> data;
  std::string output;
  std::string architecture;  // of a new model; empty: llama
  uint64_t parameters = 0;   // its size; or its shape:
  uint32_t n_layers = 0, width = 0, n_heads = 0, n_kv_heads = 0, ffn_width = 0;
  uint32_t n_experts = 0, n_experts_used = 0;  // 0: none, or as suits the architecture
  std::string tokenizer;                 // of a new model: bytes, bpe:N; empty: as suits its size
  std::string media;                     // of a new model: what it makes; empty: text
  uint32_t context = 0, batch_size = 0;  // tokens, sequences; 0: as suits the model, the memory
  uint64_t steps = 0;                    // one of these three, or
  double epochs = 0, hours = 0;          // none: as suits
  LearningOptions learning;
  std::string teacher;  // a model to learn from too; empty: none
  float teacher_weight = kTeacherWeight;
  float rate = 0;  // 0: as suits
  Schedule schedule = Schedule::kCosine;
  std::optional<uint64_t> warmup;  // steps; nothing: a twentieth of all
  float weight_decay = 0.1f, clip = 1;
  std::optional<float> expert_balance;  // nothing: as suits
  uint64_t seed = 1;
  bool shuffle = true;
  double validation = 0.05;  // share of the data
  uint32_t patience = 0;
  uint64_t save_every = 0;
  uint32_t keep = 2;
  std::string sample;  // a prompt to continue now and then
  std::string metrics_file;
  bool resume = false, force = false;
  // These options as the text of a file of --config, other values in the place of some: "" is none.
  using Changes = std::vector<std::pair<std::string, std::string>>;
  std::function<std::string(const Changes& changes)> config_text;
};

struct MergeOptions : CommonOptions {
  std::string output;
  bool force = false;
};

struct ExportOptions : CommonOptions {
  std::string output;        // a folder
  std::optional<Type> type;  // of matrices: F32, F16 or BF16; nothing: by the source
};

struct RunOptions : CommonOptions {
  std::optional<std::string> prompt;
  bool chat = false;
  uint32_t context = 0, batch = 0;
  int64_t max_tokens = -1;  // -1: until the model ends or the context is full
  std::vector<std::string> stops;
  SamplingOptions sampling;       // its seed is the next field's
  std::optional<uint64_t> seed;   // nothing: another one each time
  std::optional<uint32_t> draft;  // nothing: only where weights are streamed
  bool verbose = false;
};

inline constexpr uint32_t kChunkTokens = 512;

struct EvalOptions : CommonOptions {
  std::string text_file;
  std::string reference;
  uint32_t chunk_tokens = 0;  // 0: kChunkTokens, of a model of a medium its own context
  uint32_t chunks = 0;        // 0: all
  bool as_run = false;
};

struct BenchOptions : CommonOptions {
  uint32_t prefill_tokens = 512;
  uint32_t decode_tokens = 64;
  uint32_t repeats = 3;
  uint32_t context = 0;  // 0: as much as the figures need
  uint32_t batch = 0;
};

// What running a model with these options asks of the plan.
InferenceRequest inference_request(const CommonOptions& options, uint32_t context,
                                   uint32_t batch = 0);
// The adapter that they name; null: none.
Result<std::shared_ptr<const Adapter>> named_adapter(const CommonOptions& options,
                                                     const Model& model);

// What training so asks of the plan.
TrainingRequest training_request(const CommonOptions& options, const LearningOptions& learning);

Status inspect_command(const InspectOptions& options);
Status plan_command(const PlanOptions& options);
Status compress_command(const CompressOptions& options);
Status prune_command(const PruneOptions& options);
Status train_command(const TrainOptions& options);
Status merge_command(const MergeOptions& options);
Status export_command(const ExportOptions& options);
Status run_command(const RunOptions& options);
Status eval_command(const EvalOptions& options);
Status bench_command(const BenchOptions& options);

}  // namespace enxuto
