// A state folder (--state): what a compression has found out so far, so that one that was
// interrupted goes on, and one of another size only allocates and writes.
//
//   state.json         what all of it depends on; a folder of another model or text is refused
//   weights            a hash of them
//   calibrated-L       what the inputs of layer L carry, and their scales
//   covariance-I, output-covariance-I    of the I-th input or matrix
//   sensitivities      from probing
//   errors-L           from measuring
//   decode-speed       of number formats, for --for-speed
//   text, probes, probe-sums, rounded-L  of a stage that is under way
//
// Each is a record (state_record.h): there and whole once it is named. There is no journal: the
// names that are there say how far the work has come. What is measured, and how, is part of
// kStateFormat: whoever changes that raises it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "compress/calibration_text.h"
#include "compress/importance.h"
#include "compress/state_record.h"
#include "models/model.h"
#include "platform/work_folder.h"

namespace enxuto {

inline constexpr uint64_t kStateFormat = 5;

// The names of records, or of what is numbered().
namespace record {
inline constexpr const char *kWeights = "weights", *kCalibrated = "calibrated",
                            *kCovariance = "covariance", *kOutputCovariance = "output-covariance",
                            *kSensitivities = "sensitivities", *kErrors = "errors",
                            *kDecodeSpeed = "decode-speed", *kText = "text", *kProbes = "probes",
                            *kProbeSums = "probe-sums", *kRounded = "rounded";
}  // namespace record

// What a state belongs to, beside the weights.
struct StateOrigin {
  const Model& model;
  const CalibrationChunks& chunks;
  const CompressionPlan& plan;  // for what --effort says
  const Importance& brought;    // by --imatrix
};

// How far a stage had come when it began, in layers (the head is one).
struct TakenOver {
  std::string stage;
  uint32_t layers, of;
};

class State {
 public:
  // Told once: where the work goes on.
  using Notice = std::function<void(const std::string& line)>;

  // kUsage where the folder holds something else, or the state of another compression; kFailed
  // where its disk has less left than the plan says.
  static Result<std::unique_ptr<State>> open(const std::string& folder, const StateOrigin& origin,
                                             Notice notice);
  // Of all weights as they were read: kUsage where the state is of others.
  Status match_weights(const StreamHash& hash) const;

  bool has(const std::string& name) const { return folder_.has(name); }
  Status remove(const std::string& name) const { return folder_.remove(name); }
  Result<RecordWriter> create(const std::string& name, uint64_t tag = 0) const {
    return RecordWriter::create(folder_.path(name), tag);
  }
  Result<RecordReader> read(const std::string& name) const {
    return RecordReader::open(folder_.path(name), folder_.bytes(name));
  }
  // Small records, whole.
  template <class T>
  Status put(const std::string& name, std::span<const T> values) const {
    ASSIGN_OR_RETURN(RecordWriter writer, create(name));
    TRY(writer.write(bytes_of(values)));
    return writer.keep();
  }
  template <class T>
  Result<std::vector<T>> get(const std::string& name) const {
    ASSIGN_OR_RETURN(RecordReader reader, read(name));
    std::vector<T> values(reader.left() / sizeof(T));
    TRY(reader.read(room_of(std::span<T>(values))));
    TRY(reader.finish());
    return values;
  }
  // Says that a record is whole, and yet makes no sense.
  Status damaged(const std::string& name) const { return damaged_record(folder_.path(name)); }

  // A stage begins, and so many of its layers are there already.
  void begins(const std::string& stage, uint32_t layers, uint32_t of);
  const std::vector<TakenOver>& taken_over() const { return taken_over_; }
  uint64_t bytes() const { return folder_.bytes(); }

 private:
  State(WorkFolder folder, Notice notice)
      : folder_(std::move(folder)), notice_(std::move(notice)) {}
  WorkFolder folder_;
  Notice notice_;
  std::vector<TakenOver> taken_over_;
};

// The record of one of several: of a layer, of a covariance.
std::string numbered(const char* kind, uint64_t number);

}  // namespace enxuto
