// What a training begins with: the model, its tokenizer, and the data as tokens.
#pragma once

#include <memory>
#include <optional>

#include "cli/train_proposal.h"
#include "data/sequences.h"
#include "data/tokenize.h"
#include "media/codec.h"
#include "platform/ranks.h"
#include "platform/work_folder.h"
#include "train/model_file.h"

namespace enxuto {

struct TrainSetup {
  TrainOptions options;                  // with what was chosen instead of what was left out
  WorkFolder folder;                     // OUTPUT.training
  std::optional<Checkpoint> checkpoint;  // to go on from
  std::shared_ptr<const Model> model;    // the checkpoint's, the one named, or a new one
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<MediaCodec> codec;  // null: the data is text
  DataCounts counts;
  std::optional<Sequences> data;
  TrainingRequest request;                   // that fits the memory
  bool shares_parameters = false;            // as the first rank chose, told to the others
  std::optional<TrainingProposal> proposal;  // of --hours, where it chose the model
  std::shared_ptr<const Model> teacher;      // null: there is none
};

// The bytes that this rank may take.
uint64_t training_budget(const TrainOptions& options, const Ranks& ranks);

// The first rank makes what is to be made, and the others find it.
Result<TrainSetup> set_up_training(const TrainOptions& options, const Ranks& ranks,
                                   const Progress& progress);

}  // namespace enxuto
