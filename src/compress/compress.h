// A model into a byte budget: calibrate, measure, allocate, emit. Output is a GGUF file that stock
// llama.cpp runs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "compress/curve.h"
#include "compress/decode_speed.h"
#include "compress/pins.h"
#include "compress/state.h"
#include "memory/memory_map.h"
#include "models/model.h"
#include "plan/compression_plan.h"

namespace enxuto {

struct CompressRequest {
  uint64_t target_bytes = 0;      // of the whole file; never exceeded
  std::string calibration_text;   // empty: the built-in one
  std::string calibration_name;   // its file; empty: the built-in one
  std::string imatrix_path;       // whose importance counts in place of the text's; empty: none
  std::string save_imatrix_path;  // where the text's importance is written; empty: nowhere
  std::vector<Type> types;        // the menu; empty: as menu_for has it
  Effort effort = Effort::kNormal;
  std::vector<Pin> pins;  // what some weights are to be, whatever the menu
  int n_threads = 1;
  uint64_t memory_bytes = 0;  // that it may take; 0: no limit
  bool replace_output = false;
  bool for_speed = false;    // a little more loss is taken for formats that decode faster here
  std::string state_folder;  // to go on from, and to keep what is found out; empty: none
  State::Notice notice;      // told where it goes on from there, and what to be cautious of
  bool curve = false;        // wanted beside the file, or alone where there is none
  // Told what the work will take, once it is sure to be done, before it starts; may be empty.
  std::function<void(const MemoryMap& map, const std::vector<StageTime>& stages)> announce;
};

struct TensorReport {
  std::string name;
  Type from, to;
  uint64_t bytes;
  double relative_error;  // importance-weighted squared error over the weighted squared weights
  double predicted_kld;   // nats
};

struct CompressReport {
  uint64_t input_bytes = 0;
  uint64_t file_bytes = 0, target_bytes = 0, smallest_bytes = 0;
  double predicted_kld = 0;
  uint64_t imatrix_tensors = 0;  // that took their importance from a file
  MemoryMap map;                 // as planned
  std::vector<TensorReport> tensors;
  Curve curve;
  std::vector<std::string> cautions;
  std::vector<TakenOver> taken_over;  // of the state folder
  uint64_t state_bytes = 0;           // of that folder, now
  SpeedReport speed;                  // with for_speed
  double seconds = 0;
};

// An empty output_path writes no file, needs no target, and reports the curve only.
Result<CompressReport> compress(std::shared_ptr<const Model> model, const std::string& output_path,
                                const CompressRequest& request, const Progress& progress);

// The least that a file with this menu and these pins takes; at once.
Result<uint64_t> smallest_file_bytes(std::shared_ptr<const Model> model,
                                     const CompressRequest& request);

}  // namespace enxuto
