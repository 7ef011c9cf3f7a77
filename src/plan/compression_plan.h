// What compress takes, part by part, and where it puts what does not fit: weights that are too many
// are streamed layer by layer, hidden states that are too many wait in a file. Covariances always
// do.
//
// The stages come one after the other and share one part, the working memory: it is as large as the
// largest of them needs.
#pragma once

#include "base/checked.h"
#include "memory/memory_map.h"
#include "plan/plan.h"
#include "plan/survey.h"

namespace enxuto {

namespace owner {
inline constexpr const char* kImportance = "importance";
inline constexpr const char* kColumnScales = "column scales";
inline constexpr const char* kReadBuffer = "read buffer";
inline constexpr const char* kStateFolder = "state folder";
inline constexpr const char* kWorking = "working memory";
inline constexpr const char* kDenseLibrary = "oneDNN";
}  // namespace owner

enum class Effort { kFast, kNormal, kBest };

// Tokens of text that it calibrates on and probes with, fewer for a large model, whose probes cost
// layers^2.
struct CalibrationShape {
  uint32_t fit_tokens, fit_chunks;
  uint32_t probe_tokens, probe_chunks;
};

struct CompressionRequest {
  int n_threads = 1;
  Effort effort = Effort::kNormal;
  uint64_t memory_bytes = 0;     // the budget; 0: none
  uint64_t tokenizer_bytes = 0;  // as Tokenizer::table_bytes says; 0: estimated
  bool keeps_state = false;      // in a folder that stays
  uint64_t output_bytes = 0;     // of the file that is written; 0: those of the model
};

// Of a covariance, in one diagonal block.
inline constexpr uint64_t kCovarianceColumns = 4096;

struct CompressionPlan {
  CalibrationShape shape;
  Survey survey;
  uint64_t covariance_columns = kCovarianceColumns;  // the most in a block, of inputs
  int sweeps = 0;                                    // over the codes of what is written
  int sweeps_to_compare = 0;                         // of what tells formats apart
  InferenceRequest inference;                        // of the session that it runs text through
  bool streams = false;  // weights, through the session's ring and the read buffer
  bool states_on_disk = false;
  // Feedback between rows: texts that go there and back (0: there is none), and errors of a matrix.
  uint32_t weigh_chunks = 0;
  uint64_t row_error_bytes = 0;
  uint64_t disk_bytes = 0;   // of all files beside the output, the state folder's too
  uint64_t state_bytes = 0;  // the most that a state folder takes, whether one is kept or not
  MemoryMap map;             // of all that it takes, the session's parts first
  MemoryMap stages;          // those of its own, opened as one arena
};

// The plan that keeps within the budget, or where none does the smallest one.
Result<CompressionPlan> plan_compression(const Model& model, const CompressionRequest& request);

// OK, or kDoesNotFit with the least that the command needs.
Status check_fits(const CompressionPlan& plan, uint64_t budget_bytes,
                  std::string_view command = "compress");
// The library that multiplies matrices.
MemoryPart dense_library_part(int n_threads);

// The format of the coarse copy by which compress probes a tensor; nothing where none divides it.
const Codec* probe_codec(const Tensor& tensor);

// Rows of a tensor that are read, and written, at once.
uint64_t rows_at_once(const Model& model, const Tensor& tensor);
// Rows of a tensor that are encoded to know what a format costs it.
uint64_t sample_rows(const Tensor& tensor);
// A covariance lies in diagonal blocks of at most `most` columns where the input is wide: nearly
// the same size, whole super-blocks each.
uint64_t covariance_block(uint64_t columns, uint64_t most = kCovarianceColumns);
// As it lies in memory and in a file.
OptionalSize covariance_bytes(uint64_t columns, uint64_t most = kCovarianceColumns);
// Hidden states of `tokens` tokens, as they lie in memory or in a file.
OptionalSize state_bytes(const HyperParameters& hyper, uint64_t tokens);
// Plans that the search for an allocation keeps in mind per weight.
inline constexpr uint64_t kSearchStates = 8192;
// Of a state folder's record, read at once.
inline constexpr uint64_t kRecordBytesAtOnce = 256 * 1024;

}  // namespace enxuto
